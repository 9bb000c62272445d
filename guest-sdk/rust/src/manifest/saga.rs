//! Saga definitions and their steps.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{Compensation, Retry, Trigger, Undo, millis};

/// A saga definition. One of the same name and version never changes its content.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saga {
    name: String,
    version: u32,
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    triggers: Vec<Trigger>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_schema: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_topic: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pin_workers: bool,
}

impl Saga {
    /// A definition without steps yet; versions start at 1.
    pub fn new(name: impl Into<String>, version: u32) -> Self {
        Self {
            name: name.into(),
            version,
            steps: Vec::new(),
            triggers: Vec::new(),
            deadline_ms: None,
            input_schema: None,
            lifecycle_topic: None,
            pin_workers: false,
        }
    }

    /// The next step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// What starts it, besides the API.
    pub fn trigger(mut self, trigger: impl Into<Trigger>) -> Self {
        self.triggers.push(trigger.into());
        self
    }

    /// From its start to its undoing.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline_ms = Some(millis(deadline));
        self
    }

    /// JSON Schema: a start whose input does not fit is refused at the door.
    pub fn input_schema(mut self, schema: Value) -> Self {
        self.input_schema = Some(schema);
        self
    }

    /// The same as a text, of a file say.
    ///
    /// # Panics
    /// If the text is not JSON.
    pub fn input_schema_text(self, schema: &str) -> Self {
        self.input_schema(serde_json::from_str(schema).expect("an input schema is JSON"))
    }

    /// Where the saga's life is published.
    pub fn lifecycle_topic(mut self, topic: impl Into<String>) -> Self {
        self.lifecycle_topic = Some(topic.into());
        self
    }

    /// Sagas keep the code that they started with.
    pub fn pin_workers(mut self) -> Self {
        self.pin_workers = true;
        self
    }

    /// The steps without another worker.
    pub(super) fn own_steps(&self) -> Vec<String> {
        let own = self.steps.iter().filter(|step| step.worker.is_none());
        own.map(|step| step.name.clone()).collect()
    }
}

/// One step of a definition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Vec<String>>,
    guarded: bool,
    timeout_ms: u64,
    retry: Retry,
    compensation: Compensation,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pivot: bool,
}

impl Step {
    /// A step that this plugin runs: not guarded, 30 seconds an attempt, never retried, with nothing to undo.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            worker: None,
            after: None,
            guarded: false,
            timeout_ms: 30_000,
            retry: Retry::never(),
            compensation: Compensation::None,
            pivot: false,
        }
    }

    /// The plugin that runs it, when it is not this one.
    pub fn worker(mut self, plugin: impl Into<String>) -> Self {
        self.worker = Some(plugin.into());
        self
    }

    /// Its predecessors, when they are not the step before it; none: it starts at once.
    pub fn after<S: Into<String>>(mut self, steps: impl IntoIterator<Item = S>) -> Self {
        self.after = Some(steps.into_iter().map(Into::into).collect());
        self
    }

    /// Ask `guard` first.
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// The bound of an attempt, its wait included unless the wait names its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = millis(timeout);
        self
    }

    /// When to try again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// It is undone by `compensate`.
    pub fn undo(mut self, undo: Undo) -> Self {
        self.compensation = Compensation::Undo(undo);
        self
    }

    /// Past it the saga only goes forward.
    pub fn pivot(mut self) -> Self {
        self.pivot = true;
        self
    }
}
