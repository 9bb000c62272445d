//! Scenarios out of a real saga's journal: one for each step, or undo, that a plugin ran.
//!
//! What ended a wait, what other hosts answered and what was in the plugin's tables is not in the journal: a `resume` is left
//! out, and the others are for a person to complete (`given.http`, `given.sql`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wasaga_domain::{attempt::Direction, journal::EntryKind, payload::Payload};
use wasaga_store::saga_read::JournalRow;

use crate::content;

/// The saga whose journal it is.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// Its definition's name.
    pub definition: &'a str,
    /// What it ran for.
    pub business_key: Option<&'a str>,
    /// Its input.
    pub input: &'a Payload,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// A file of scenarios, as JSON.
    pub scenarios: Value,
    /// What is not in it, and why: a sentence each.
    pub left_out: Vec<String>,
}

/// Records the steps that `is_own` says are the plugin's.
pub fn record(saga: Past<'_>, journal: &[JournalRow], is_own: impl Fn(&str) -> bool) -> Recorded {
    let mut so_far = SoFar::default();
    let (mut scenarios, mut left_out) = (Vec::new(), Vec::new());
    for row in journal {
        if let Some(step) = row.step.as_deref().filter(|step| is_own(step)) {
            if so_far.waits(step, row.direction) {
                if ends_wait(row.kind) {
                    left_out.push(format!(
                        "entry {}: the resume of {step}: what ended its wait is not in the journal",
                        row.number
                    ));
                }
            } else if let Some(then) = then(row) {
                scenarios.push(so_far.scenario(saga, row, step, &then));
            }
        }
        so_far.pass(row);
    }
    Recorded { scenarios: json!({ "scenario": scenarios }), left_out }
}

/// What the journal has told up to an entry.
#[derive(Default)]
struct SoFar {
    outputs: BTreeMap<String, Value>,
    undos: BTreeMap<String, Value>,
    waiting: Vec<(String, Direction)>,
    cause: Option<Value>,
}

impl SoFar {
    fn waits(&self, step: &str, direction: Direction) -> bool {
        self.waiting.iter().any(|(name, way)| name == step && *way == direction)
    }

    fn pass(&mut self, row: &JournalRow) {
        if row.kind == EntryKind::Undoing {
            let error = row.error.as_ref();
            self.cause = error.map(|error| json!({"code": error.code, "message": error.message}));
        }
        let Some(step) = &row.step else { return };
        if row.kind == EntryKind::Waiting {
            self.waiting.push((step.clone(), row.direction));
        } else if ends_wait(row.kind) {
            self.waiting.retain(|(name, way)| name != step || *way != row.direction);
        }
        if row.direction == Direction::Forward {
            if let Some(undo) = &row.undo {
                self.undos.insert(step.clone(), content::shown(&undo.data));
            }
            if let Some(output) = &row.output {
                self.outputs.insert(step.clone(), content::shown(&output.data));
            }
        }
    }

    fn scenario(&self, saga: Past<'_>, row: &JournalRow, step: &str, then: &Value) -> Value {
        let undoes = row.direction == Direction::Undo;
        let given = members([
            ("saga", Some(json!(saga.definition))),
            ("business_key", saga.business_key.map(Value::from)),
            ("input", Some(content::shown(&saga.input.data))),
            ("outputs", (!self.outputs.is_empty()).then(|| json!(self.outputs))),
            ("undo", self.undos.get(step).filter(|_| undoes).cloned()),
            ("cause", self.cause.clone()),
            (
                "now",
                Timestamp::from_millisecond(row.started_at.0).ok().map(|at| json!(at.to_string())),
            ),
        ]);
        let (call, undo) = if undoes { ("compensate", "undo of ") } else { ("execute", "") };
        json!({
            "name": format!("entry {}: {undo}{step} {}", row.number, row.kind.as_str()),
            "given": given,
            "when": {call: step, "attempt": row.attempt},
            "then": then,
        })
    }
}

fn ends_wait(kind: EntryKind) -> bool {
    use EntryKind::{Failed, Retrying, Skipped, Succeeded};
    matches!(kind, Succeeded | Skipped | Failed | Retrying)
}

/// What has to come of the attempt that this entry is about; nothing where it is about none that has come to an end of its own.
fn then(row: &JournalRow) -> Option<Value> {
    let shown = |payload: &Option<Payload>| Some(content::shown(&payload.as_ref()?.data));
    let forward = row.direction == Direction::Forward;
    Some(match row.kind {
        EntryKind::Succeeded => members([
            ("outcome", Some(json!("done"))),
            ("output", shown(&row.output)),
            ("undo", shown(&row.undo).filter(|_| forward)),
        ]),
        EntryKind::Skipped => json!({"outcome": "skipped"}),
        EntryKind::Waiting => json!({"outcome": "waits"}),
        EntryKind::Failed => members([("code", Some(json!(row.error.as_ref()?.code)))]),
        _ => return None,
    })
}

/// An object of those that there are.
fn members<const N: usize>(all: [(&str, Option<Value>); N]) -> Value {
    let there = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use wasaga_domain::{clock::UnixMillis, outcome::ErrorDetail};

    use super::*;

    fn row(number: u32, kind: EntryKind, step: &str, direction: Direction) -> JournalRow {
        JournalRow {
            number,
            kind,
            step: Some(step.to_owned()).filter(|step| !step.is_empty()),
            direction,
            attempt: u32::from(!step.is_empty()),
            started_at: UnixMillis(1_767_225_600_000),
            at: UnixMillis(1_767_225_600_005),
            output: None,
            undo: None,
            memo: None,
            error: None,
            digest: None,
            by: None,
        }
    }

    #[test]
    fn each_step_is_a_scenario_with_what_was_known_then() {
        let undo = JournalRow {
            output: Some(Payload::json(r#"{"released":true}"#)),
            ..row(6, EntryKind::Succeeded, "reserve", Direction::Undo)
        };
        let journal = [
            JournalRow {
                output: Some(Payload::json(r#"{"held":2}"#)),
                undo: Some(Payload::json("7")),
                ..row(1, EntryKind::Succeeded, "reserve", Direction::Forward)
            },
            row(2, EntryKind::Waiting, "charge", Direction::Forward),
            row(3, EntryKind::Succeeded, "charge", Direction::Forward),
            JournalRow {
                error: Some(ErrorDetail::new("no-carrier", "nobody carries it")),
                ..row(4, EntryKind::Failed, "ship", Direction::Forward)
            },
            JournalRow {
                error: Some(ErrorDetail::new("no-carrier", "nobody carries it")),
                ..row(5, EntryKind::Undoing, "", Direction::Undo)
            },
            undo,
        ];
        let input = Payload::json(r#"{"order":"o-1"}"#);
        let saga = Past { definition: "order", business_key: Some("o-1"), input: &input };
        let Recorded { scenarios, left_out } = record(saga, &journal, |step| step != "ship");
        let given = |more: Value| {
            let mut given = json!({"saga": "order", "business_key": "o-1", "input": {"order": "o-1"},
                "now": "2026-01-01T00:00:00Z"});
            given
                .as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("one").clone());
            given
        };
        let expected = json!([
            {
                "name": "entry 1: reserve succeeded", "given": given(json!({})),
                "when": {"execute": "reserve", "attempt": 1},
                "then": {"outcome": "done", "output": {"held": 2}, "undo": 7},
            },
            {
                "name": "entry 2: charge waiting", "given": given(json!({"outputs": {"reserve": {"held": 2}}})),
                "when": {"execute": "charge", "attempt": 1}, "then": {"outcome": "waits"},
            },
            {
                "name": "entry 6: undo of reserve succeeded",
                "given": given(json!({"outputs": {"reserve": {"held": 2}}, "undo": 7,
                    "cause": {"code": "no-carrier", "message": "nobody carries it"}})),
                "when": {"compensate": "reserve", "attempt": 1},
                "then": {"outcome": "done", "output": {"released": true}},
            },
        ]);
        assert_eq!(scenarios["scenario"], expected, "{scenarios:#}");
        assert_eq!(
            left_out,
            ["entry 3: the resume of charge: what ended its wait is not in the journal"]
        );
    }
}
