//! What a step is given, and what it returns.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::{
    imports::wasaga::plugin::types::{Attempt, Direction},
    steps::exports::wasaga::plugin::steps::{
        Arrival, AwaitedMessage, ChildEnd, Done, Outcome, Task as StepTask, Verdict, Wait,
        WaitSource,
    },
};
use crate::{
    failure::{ErrorDetail, Failure},
    manifest::millis,
    message::{Effect, Message, send},
    payload::Payload,
};

impl StepTask {
    /// The saga's input, as JSON; a permanent failure if it does not fit.
    pub fn input_json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.input.parse()
    }

    /// The name of the step.
    pub fn step(&self) -> &str {
        &self.attempt.step
    }

    /// The same for every attempt of this step in this direction: hand it to whatever you call.
    pub fn idempotency_key(&self) -> &str {
        &self.attempt.idempotency_key
    }

    /// The saga's business key; its id when it was started without one.
    pub fn business_key(&self) -> &str {
        self.attempt.business_key.as_deref().unwrap_or(&self.attempt.saga_id)
    }

    /// A permanent failure for a step that this plugin's manifest names and its code does not know.
    pub fn unknown_step(&self) -> Failure {
        Failure::permanent("unknown-step", format!("this plugin has no step {:?}", self.step()))
    }

    /// An unknown failure for a step that waited, and does not know how to go on.
    pub fn no_resume(&self) -> Failure {
        Failure::unknown("no-resume", format!("step {:?} does not resume", self.step()))
    }

    /// A permanent failure for a step that is to be undone, and does not know how.
    pub fn no_undo(&self) -> Failure {
        Failure::permanent("no-undo", format!("step {:?} has no undo", self.step()))
    }
}

impl Verdict {
    /// Refuse the step: the saga fails, and what is done is undone.
    pub fn refuse(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Reject(ErrorDetail::new(code, message))
    }
}

/// The step is done; this is what later steps and the saga's reader see.
pub fn done(output: Payload) -> Done {
    Done { output, undo: None, effects: Vec::new() }
}

/// The step is done; its output as JSON.
pub fn done_json<T: Serialize + ?Sized>(output: &T) -> Done {
    done(Payload::json(output))
}

/// The step is done and has nothing to say: the output is JSON's `null`.
pub fn done_empty() -> Done {
    done_json(&())
}

impl Done {
    /// Kept for `compensate`: what it needs to know to undo this step.
    pub fn undo(mut self, undo: Payload) -> Self {
        self.undo = Some(undo);
        self
    }

    /// As [`undo`](Self::undo), as JSON.
    pub fn undo_json<T: Serialize + ?Sized>(self, undo: &T) -> Self {
        self.undo(Payload::json(undo))
    }

    /// Send this message as well.
    pub fn send(self, message: Message) -> Self {
        self.effect(send(message))
    }

    /// One more effect.
    pub fn effect(mut self, effect: impl Into<Effect>) -> Self {
        self.effects.push(effect.into());
        self
    }
}

/// Wait, without holding anything, for the first of the sources that are added; without one, for the time-out.
pub fn wait() -> Wait {
    Wait { sources: Vec::new(), timeout_ms: None, effects: Vec::new(), undo: None, memo: None }
}

impl Wait {
    /// For the next message of this topic with this correlation key; one that came early counts.
    /// The manifest must subscribe to the topic with a correlation locator.
    pub fn message(self, topic: impl Into<String>, correlation: impl Into<String>) -> Self {
        let awaited = AwaitedMessage { topic: topic.into(), correlation: correlation.into() };
        self.source(WaitSource::Message(awaited))
    }

    /// For the next signal of this name; one that came early counts.
    pub fn signal(self, name: impl Into<String>) -> Self {
        self.source(WaitSource::Signal(name.into()))
    }

    /// For the end of the child of this name.
    pub fn child(self, name: impl Into<String>) -> Self {
        self.source(WaitSource::Child(name.into()))
    }

    /// For one more source.
    pub fn source(mut self, source: WaitSource) -> Self {
        self.sources.push(source);
        self
    }

    /// At most this long from now; otherwise until the step's own time-out.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.timeout_ms(millis(timeout))
    }

    /// At most this many milliseconds from now; otherwise until the step's own time-out.
    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// Send this message when the wait is committed.
    pub fn send(self, message: Message) -> Self {
        self.effect(send(message))
    }

    /// One more effect.
    pub fn effect(mut self, effect: impl Into<Effect>) -> Self {
        self.effects.push(effect.into());
        self
    }

    /// Should the saga fail while this step waits: what `compensate` needs to undo it.
    pub fn undo(mut self, undo: Payload) -> Self {
        self.undo = Some(undo);
        self
    }

    /// Handed back to `resume`.
    pub fn memo(mut self, memo: Payload) -> Self {
        self.memo = Some(memo);
        self
    }
}

impl From<Done> for Outcome {
    fn from(done: Done) -> Self {
        Self::Done(done)
    }
}

impl From<Wait> for Outcome {
    fn from(wait: Wait) -> Self {
        Self::Wait(wait)
    }
}

impl From<Done> for Result<Outcome, Failure> {
    fn from(done: Done) -> Self {
        Ok(done.into())
    }
}

impl From<Wait> for Result<Outcome, Failure> {
    fn from(wait: Wait) -> Self {
        Ok(wait.into())
    }
}
