//! What a call came to, and where two of them, or one and the journal, are otherwise.

use serde::Serialize;
use serde_json::{Map, Value, json};
use wasaga_domain::{
    attempt::Direction,
    journal::EntryKind,
    outcome::{Failure, StepOutcome},
    payload::Payload,
};
use wasaga_store::saga_read::JournalRow;

use crate::{content, expect::observed, http::Asking};

/// Something that the candidate does otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// `outcome`, `code`, `output`, `undo`, `memo`, `effects`, `waits_for`, `timeout_ms`, `changes` (requests that ask for a
    /// change), `not_recorded` (requests whose answers were not recorded) or `not_asked` (recorded requests that it does
    /// not send).
    pub what: String,
    /// Of the module that ran.
    pub was: Value,
    /// Of the candidate.
    pub is: Value,
}

/// What a call came to.
pub(super) struct Answered {
    pub outcome: Result<StepOutcome, Failure>,
    pub asked: Asking,
}

impl Answered {
    /// Where the other one is otherwise.
    pub(super) fn differences(&self, other: &Self) -> Vec<Difference> {
        let (before, after) = (self.shown(), other.shown());
        let pairs = before.into_iter().zip(after);
        pairs
            .filter(|((_, was), (_, is))| was != is)
            .map(|((what, was), (_, is))| Difference { what, was, is })
            .collect()
    }

    /// All that counts of it; a failure's text does not, which has places in the code.
    fn shown(&self) -> Map<String, Value> {
        let Value::Object(mut shown) = observed(&self.outcome).shown() else { return Map::new() };
        let (memo, timeout) = match &self.outcome {
            Ok(StepOutcome::Wait(wait)) => (wait.memo.as_ref().map(payload), wait.timeout),
            _ => (None, None),
        };
        let Asking { changes, unexpected, unused } = &self.asked;
        shown.extend([
            ("memo".into(), json!(memo)),
            ("timeout_ms".into(), json!(timeout.map(|timeout| timeout.as_millis() as u64))),
            ("changes".into(), json!(changes)),
            ("not_recorded".into(), json!(unexpected)),
            ("not_asked".into(), json!(unused)),
        ]);
        shown
    }
}

fn payload(payload: &Payload) -> Value {
    content::shown(&payload.data)
}

/// What a call came to otherwise than the journal has it.
pub(super) fn drift(row: &JournalRow, answered: &Answered) -> Vec<&'static str> {
    let observed = observed(&answered.outcome);
    let outcome = match row.kind {
        EntryKind::Succeeded => "done",
        EntryKind::Skipped => "skipped",
        EntryKind::Waiting => "waits",
        _ => "failed",
    };
    let is_outcome = match &*observed.outcome {
        "done" | "skipped" | "waits" => observed.outcome == outcome,
        _ => outcome == "failed",
    };
    let code = observed.error.map(|error| error.code);
    let recorded_code = row.error.as_ref().map(|error| error.code.clone());
    let forward = row.direction == Direction::Forward;
    let same = [
        ("outcome", is_outcome),
        ("code", code == recorded_code),
        ("output", observed.output == row.output.as_ref().map(payload)),
        ("undo", !forward || observed.undo == row.undo.as_ref().map(payload)),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasaga_domain::{
        clock::UnixMillis,
        outcome::{Done, ErrorDetail, Wait, WaitSource},
    };

    use super::*;

    fn answered(outcome: Result<StepOutcome, Failure>) -> Answered {
        Answered { outcome, asked: Asking::default() }
    }

    fn done(output: &'static str) -> Answered {
        let done = Done { output: Payload::json(output), undo: None, effects: Vec::new() };
        answered(Ok(StepOutcome::Done(done)))
    }

    fn waits(timeout: u64, memo: &'static str) -> Answered {
        answered(Ok(StepOutcome::Wait(Wait {
            sources: vec![WaitSource::Signal("go".into())],
            timeout: Some(Duration::from_millis(timeout)),
            effects: Vec::new(),
            undo: None,
            memo: Some(Payload::json(memo)),
        })))
    }

    fn failed(code: &str, message: &str) -> Answered {
        answered(Err(Failure::Permanent(ErrorDetail::new(code, message))))
    }

    #[test]
    fn what_is_otherwise_is_told_and_nothing_else() {
        let whats = |before: &Answered, after: &Answered| {
            let differences = before.differences(after);
            differences.into_iter().map(|difference| difference.what).collect::<Vec<_>>()
        };
        assert!(whats(&done(r#"{"a":1,"b":2}"#), &done(r#"{"b":2,"a":1}"#)).is_empty());
        assert_eq!(whats(&done("1"), &done("2")), ["output"]);
        assert_eq!(whats(&waits(5, "1"), &waits(6, "2")), ["memo", "timeout_ms"]);
        assert!(whats(&failed("x", "at line 1"), &failed("x", "at line 2")).is_empty());
        assert_eq!(whats(&failed("x", ""), &failed("y", "")), ["code"]);
        assert_eq!(whats(&done("1"), &failed("x", "")), ["code", "outcome", "output"]);
        let mut asks = done("1");
        asks.asked.unexpected.push("http: unexpected: GET https://a.example/".into());
        assert_eq!(whats(&done("1"), &asks), ["not_recorded"]);
    }

    #[test]
    fn what_is_not_repeated_is_told() {
        let row = |kind, output: Option<&'static str>, code: Option<&str>| JournalRow {
            number: 1,
            kind,
            step: Some("a".into()),
            direction: Direction::Forward,
            attempt: 1,
            started_at: UnixMillis(1),
            at: UnixMillis(2),
            output: output.map(Payload::json),
            undo: None,
            memo: None,
            error: code.map(|code| ErrorDetail::new(code, "")),
            digest: None,
            by: None,
        };
        let succeeded = row(EntryKind::Succeeded, Some("1"), None);
        assert!(drift(&succeeded, &done("1")).is_empty());
        assert_eq!(drift(&succeeded, &done("2")), ["output"]);
        assert_eq!(drift(&succeeded, &failed("x", "")), ["outcome", "code", "output"]);
        let retrying = row(EntryKind::Retrying, None, Some("x"));
        assert!(drift(&retrying, &failed("x", "")).is_empty());
        assert_eq!(drift(&retrying, &failed("y", "")), ["code"]);
        assert_eq!(drift(&retrying, &waits(1, "1")), ["outcome", "code"]);
    }
}
