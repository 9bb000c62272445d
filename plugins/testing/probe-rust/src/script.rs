//! What a saga's input may say:
//!
//! ```json
//! {
//!   "guards": {"b": ["retryable", "skip"]},
//!   "steps": {"a": [{"do": "retryable"}, {"do": "wait", "topic": "probe.replies", "correlation": "$key"}]},
//!   "undo": {"a": [{"do": "unknown"}, {"do": "done"}]}
//! }
//! ```
//! One entry an attempt, the last one also for all later attempts; nothing: done. In every string `$key`,
//! `$forward_key`, `$saga`, `$business_key` and `$attempt` stand for the attempt's own; a text that JSON can't hold
//! as it is, like a NUL, is written with JSON's escapes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasaga_guest::prelude::*;

/// The input of a saga.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    pub guards: BTreeMap<String, Vec<Guard>>,
    pub steps: BTreeMap<String, Vec<Action>>,
    pub undo: BTreeMap<String, Vec<Action>>,
}

/// The value of a task's message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskScript {
    pub attempts: Vec<Action>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    #[default]
    Proceed,
    Skip,
    Reject,
    Retryable,
    Trap,
}

/// What an attempt does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    Done {
        #[serde(default)]
        output: Value,
        #[serde(default)]
        undo: Option<Value>,
        #[serde(default)]
        send: Vec<Send>,
    },
    Retryable {
        #[serde(default)]
        after_ms: Option<u64>,
        #[serde(default = "scripted")]
        code: String,
        #[serde(default = "scripted")]
        message: String,
    },
    Permanent(Detail),
    Unknown(Detail),
    /// Panics.
    Trap,
    /// Burns CPU: for so long and then done, or for ever.
    Spin {
        #[serde(default)]
        ms: Option<u64>,
    },
    /// Takes memory until there is none.
    Oom,
    /// Recurses until the stack is full.
    Overflow,
    /// So many lines in the log, of so many bytes each.
    Log {
        lines: u32,
        bytes: usize,
    },
    /// Asks the host for the time so often.
    AskTime {
        times: u32,
    },
    /// Asks the host for so many random bytes.
    AskRandom {
        bytes: u32,
    },
    /// So many effects.
    Effects {
        count: usize,
    },
    /// An output of so many bytes.
    BigOutput {
        bytes: usize,
    },
    Wait {
        /// Topic and correlation, or neither: sleep.
        #[serde(default)]
        topic: Option<String>,
        #[serde(default)]
        correlation: String,
        /// Appends so many bytes to the correlation.
        #[serde(default)]
        correlation_bytes: usize,
        /// Waits for these signals as well.
        #[serde(default)]
        signals: Vec<String>,
        /// Waits for these child sagas as well.
        #[serde(default)]
        children: Vec<String>,
        #[serde(default)]
        timeout_ms: Option<u64>,
        #[serde(default)]
        send: Vec<Send>,
        #[serde(default)]
        undo: Option<Value>,
        /// After an arrival; by default done with what arrived.
        #[serde(default)]
        then: Option<Box<Action>>,
        /// After the time-out; by default done after a sleep, unknown otherwise.
        #[serde(default)]
        timed_out: Option<Box<Action>>,
    },
    /// Statements in order, the last one's rows as output; an error is the output too, unless `strict`.
    Sql {
        #[serde(default)]
        execute: Vec<String>,
        #[serde(default)]
        query: Option<String>,
        #[serde(default)]
        strict: bool,
        #[serde(default)]
        then: Option<Box<Action>>,
    },
    /// A request by HTTP, and its answer as output; an error is the output too, unless `strict`.
    Http {
        method: String,
        url: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: Option<String>,
        /// A body of so many bytes.
        #[serde(default)]
        body_bytes: Option<usize>,
        #[serde(default)]
        timeout_ms: Option<u64>,
        #[serde(default)]
        strict: bool,
        #[serde(default)]
        then: Option<Box<Action>>,
    },
    /// An effect other than `send`.
    Effect {
        effect: OtherEffect,
    },
    /// Returns how often the instance was asked this.
    Count,
    /// Says its secret in the log, and then as a failure, or panics with it.
    Blab {
        #[serde(default)]
        trap: bool,
    },
    /// Logs, asks every other import that needs no grant, and returns what they said.
    Imports {
        message: String,
    },
}

/// A failure's code and message.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    #[serde(default = "scripted")]
    pub code: String,
    #[serde(default = "scripted")]
    pub message: String,
}

fn scripted() -> String {
    "scripted".into()
}

/// A message to send.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    pub topic: String,
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub value: Value,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherEffect {
    Start,
    Signal,
    Cancel,
}

/// The entry of an attempt, counted from 1; the last one for all that have none of their own.
pub fn nth<T: Clone>(entries: Option<&Vec<T>>, attempt: u32) -> Option<T> {
    let entries = entries?;
    entries.get((attempt as usize).saturating_sub(1)).or_else(|| entries.last()).cloned()
}

/// The saga's input with the attempt's names filled in.
pub fn with_names(task: &StepTask) -> Result<Payload, Failure> {
    let attempt = &task.attempt;
    let mut text = String::from_utf8(task.input.data.clone())
        .map_err(|error| Failure::permanent("not-utf-8", error.to_string()))?;
    for (name, value) in [
        ("$key", attempt.idempotency_key.as_str()),
        ("$forward_key", &attempt.forward_key),
        ("$saga", &attempt.saga_id),
        ("$business_key", task.business_key()),
        ("$attempt", &attempt.number.to_string()),
    ] {
        let quoted = serde_json::to_string(value).expect("a string is JSON");
        text = text.replace(name, &quoted[1..quoted.len() - 1]);
    }
    Ok(Payload::new(task.input.content_type.as_str(), text))
}
