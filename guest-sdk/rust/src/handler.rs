//! What `#[steps]` makes of handlers: typed payloads in, effects collected, an outcome out.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    context,
    failure::Failure,
    message::{Effect, Message, send, send_or},
    payload::Payload,
    step::{Done, Outcome, Wait, done_empty, done_json},
};

/// What is to be committed with the outcome of a handler that asks for it as `&mut Effects`. A handler that fails has none.
#[derive(Debug, Default)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// Send this message.
    pub fn send(&mut self, message: Message) {
        self.add(send(message));
    }

    /// Send this message; `rollback` is published instead when it is given up.
    pub fn send_or(&mut self, message: Message, rollback: Message) {
        self.add(send_or(message, rollback));
    }

    /// One more effect: of [`start`](crate::message::start), [`signal`](crate::message::signal) or
    /// [`cancel`](crate::message::cancel).
    pub fn add(&mut self, effect: impl Into<Effect>) {
        self.0.push(effect.into());
    }

    /// Those that were added, in order.
    pub fn as_slice(&self) -> &[Effect] {
        &self.0
    }

    /// The outcome with these behind its own.
    #[doc(hidden)]
    pub fn put_into(&mut self, mut outcome: Outcome) -> Outcome {
        match &mut outcome {
            Outcome::Done(done) => done.effects.append(&mut self.0),
            Outcome::Wait(wait) => wait.effects.append(&mut self.0),
        }
        outcome
    }
}

/// An output as JSON, with nothing else to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<T>(
    /// What later steps and the saga's reader see.
    pub T,
);

/// What a handler may return.
pub trait IntoOutcome {
    /// The step's outcome.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl IntoOutcome for Done {
    fn into_outcome(self) -> Outcome {
        self.into()
    }
}

impl IntoOutcome for Wait {
    fn into_outcome(self) -> Outcome {
        self.into()
    }
}

/// Done, with nothing to say.
impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        done_empty().into()
    }
}

impl<T: Serialize> IntoOutcome for Json<T> {
    fn into_outcome(self) -> Outcome {
        done_json(&self.0).into()
    }
}

/// What another step of the saga returned; as nothing where it is not done.
#[doc(hidden)]
pub fn output<T: DeserializeOwned>(step: &str) -> Result<T, Failure> {
    kept("output", step, context::output(step).as_ref())
}

/// What a step left; an `Option` also where it left nothing, a permanent failure otherwise.
#[doc(hidden)]
pub fn kept<T: DeserializeOwned>(
    what: &str,
    step: &str,
    payload: Option<&Payload>,
) -> Result<T, Failure> {
    let Some(payload) = payload else {
        return serde_json::from_slice(b"null").map_err(|_| {
            let message =
                format!("step {step:?} has left no {what}: take an Option where that may be");
            Failure::permanent("nothing-left", message)
        });
    };
    payload.parse()
}
