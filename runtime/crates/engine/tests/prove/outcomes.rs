//! What guests may answer.

use std::time::Duration;

use wasaga_domain::{
    message::{Message, Outgoing},
    outcome::{Done, Effect, ErrorDetail, Failure, StepOutcome},
    payload::Payload,
};

pub type Outcome = Result<StepOutcome, Failure>;

pub fn why(code: &str) -> ErrorDetail {
    ErrorDetail::new(code, "for a proof")
}

/// The same for a number, and another one for another.
pub fn payload(number: u64) -> Payload {
    Payload::json(number.to_string())
}

pub fn done(output: Payload, undo: Option<Payload>, effects: Vec<Effect>) -> Outcome {
    Ok(StepOutcome::Done(Done { output, undo, effects }))
}

pub fn retryable(after: Option<Duration>) -> Outcome {
    Err(Failure::Retryable { detail: why("retryable"), after })
}

pub fn permanent() -> Outcome {
    Err(Failure::Permanent(why("permanent")))
}

pub fn unknown() -> Outcome {
    Err(Failure::Unknown(why("unknown")))
}

pub fn unavailable() -> Outcome {
    Err(Failure::Unavailable(why("unavailable")))
}

pub fn rejected() -> Outcome {
    Ok(StepOutcome::Rejected(why("rejected")))
}

pub fn command() -> Effect {
    let message = Message { topic: "commands".into(), key: None, headers: Vec::new(), value: None };
    Effect::Send(Outgoing { message, rollback: None })
}

pub fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok(StepOutcome::Done(_)) => "done",
        Ok(StepOutcome::Wait(_)) => "waits",
        Ok(StepOutcome::Skipped) => "skipped",
        Ok(StepOutcome::Rejected(_)) => "rejected",
        Err(Failure::Retryable { .. }) => "retryable",
        Err(Failure::Permanent(_)) => "permanent",
        Err(Failure::Unknown(_)) => "unknown",
        Err(Failure::Unavailable(_)) => "unavailable",
    }
}
