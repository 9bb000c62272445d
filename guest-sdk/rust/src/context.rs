//! What the running saga has done so far. Only steps may ask.

use serde::de::DeserializeOwned;

use crate::{
    bindings::imports::wasaga::plugin::{context, types::ErrorDetail},
    failure::Failure,
    payload::Payload,
};

/// The names of the finished steps, in the order in which they finished.
pub fn finished_steps() -> Vec<String> {
    context::finished_steps()
}

/// What this step returned, if it is done.
pub fn output(step: &str) -> Option<Payload> {
    context::output(step)
}

/// What this step returned, as JSON; nothing if it is not done.
pub fn output_json<T: DeserializeOwned>(step: &str) -> Result<Option<T>, Failure> {
    output(step).map(|output| output.parse()).transpose()
}

/// What this step returned, as JSON; a permanent failure if it is not done.
pub fn require_output<T: DeserializeOwned>(step: &str) -> Result<T, Failure> {
    output_json(step)?.ok_or_else(|| {
        Failure::permanent("step-not-done", format!("step {step:?} of this saga has no output"))
    })
}

/// Why the saga is being undone; nothing while it goes forward.
pub fn cause() -> Option<ErrorDetail> {
    context::cause()
}
