//! What came of a call, and where it is otherwise than a scenario says.

use serde_json::{Value, json};
use wasaga_domain::outcome::{Effect, ErrorDetail, Failure, StepOutcome, Wait};

use crate::{content, scenario::Then};

/// What came of a step, a task or a saga.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub outcome: String,
    pub error: Option<ErrorDetail>,
    pub output: Option<Value>,
    pub undo: Option<Value>,
    pub effects: Vec<Value>,
    pub waits_for: Vec<Value>,
    pub history: Vec<String>,
    pub logs: Vec<String>,
}

impl Observed {
    /// All of it but the logs.
    pub(crate) fn shown(&self) -> Value {
        let error = self.error.as_ref().map(|error| &error.code);
        json!({
            "outcome": self.outcome, "code": error, "output": self.output, "undo": self.undo,
            "effects": self.effects, "waits_for": self.waits_for,
        })
    }

    /// Where it is otherwise than it has to be, a sentence each.
    pub(crate) fn misses(&self, then: &Then) -> Vec<String> {
        let mut misses = Vec::new();
        let told = self
            .error
            .as_ref()
            .map_or(String::new(), |error| format!(" ({}: {})", error.code, error.message));
        if let Some(expected) = then.outcome.as_ref().filter(|expected| **expected != self.outcome)
        {
            misses.push(format!("outcome: expected {expected}, got {}{told}", self.outcome));
        }
        let code = self.error.as_ref().map(|error| error.code.clone());
        if then.code.is_some() && then.code != code {
            misses.push(format!("code: expected {:?}, got {code:?}{told}", then.code));
        }
        for (what, expected, got) in
            [("output", &then.output, &self.output), ("undo", &then.undo, &self.undo)]
        {
            if let Some(expected) =
                expected.as_ref().filter(|expected| Some(*expected) != got.as_ref())
            {
                let got = got.as_ref().map_or("nothing".into(), Value::to_string);
                misses.push(format!("{what}: expected {expected}, got {got}{told}"));
            }
        }
        for (what, expected, got) in [
            ("effects", &then.effects, &self.effects),
            ("waits_for", &then.waits_for, &self.waits_for),
        ] {
            let Some(expected) = expected else { continue };
            let fits = expected.len() == got.len()
                && expected.iter().zip(got).all(|(expected, got)| within(expected, got));
            if !fits {
                misses.push(format!(
                    "{what}: expected {}, got {}",
                    Value::from(expected.clone()),
                    Value::from(got.clone())
                ));
            }
        }
        if let Some(expected) = then.history.as_ref().filter(|expected| **expected != self.history)
        {
            misses.push(format!("history: expected {expected:?}, got {:?}", self.history));
        }
        for part in &then.logs {
            if !self.logs.iter().any(|line| line.contains(part)) {
                misses.push(format!("logs: no line has {part:?}"));
            }
        }
        misses
    }
}

/// Whether all that `expected` says is so in `got`: objects may have more members, everything else is equal.
fn within(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => expected
            .iter()
            .all(|(name, value)| within(value, got.get(name).unwrap_or(&Value::Null))),
        _ => expected == got,
    }
}

pub(crate) fn observed(outcome: &Result<StepOutcome, Failure>) -> Observed {
    let shown = |payload: &wasaga_domain::payload::Payload| content::shown(&payload.data);
    match outcome {
        Ok(StepOutcome::Done(done)) => Observed {
            outcome: "done".into(),
            output: Some(shown(&done.output)),
            undo: done.undo.as_ref().map(shown),
            effects: done.effects.iter().map(content::effect).collect(),
            ..Observed::default()
        },
        Ok(StepOutcome::Wait(Wait { sources, effects, undo, .. })) => Observed {
            outcome: "waits".into(),
            undo: undo.as_ref().map(shown),
            effects: effects.iter().map(content::effect).collect(),
            waits_for: sources.iter().map(content::source).collect(),
            ..Observed::default()
        },
        Ok(StepOutcome::Skipped) => Observed { outcome: "skipped".into(), ..Observed::default() },
        Ok(StepOutcome::Rejected(error)) => Observed {
            outcome: "rejected".into(),
            error: Some(error.clone()),
            ..Observed::default()
        },
        Err(failure) => failed(failure),
    }
}

pub(crate) fn observed_task(outcome: &Result<Vec<Effect>, Failure>) -> Observed {
    match outcome {
        Ok(effects) => Observed {
            outcome: "done".into(),
            effects: effects.iter().map(content::effect).collect(),
            ..Observed::default()
        },
        Err(failure) => failed(failure),
    }
}

fn failed(failure: &Failure) -> Observed {
    let outcome = match failure {
        Failure::Retryable { .. } => "retryable",
        Failure::Permanent(_) => "permanent",
        Failure::Unknown(_) => "unknown",
        Failure::Unavailable(_) => "unavailable",
    };
    let error = Some(failure.detail().clone());
    Observed { outcome: outcome.into(), error, ..Observed::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_members_fit_and_other_values_do_not() {
        let got = json!({ "send": { "topic": "t", "value": { "a": 1, "b": [1, 2] } } });
        for (expected, fits) in [
            (json!({}), true),
            (json!({ "send": { "value": { "a": 1 } } }), true),
            (json!({ "send": { "value": { "a": 2 } } }), false),
            (json!({ "send": { "value": { "b": [1] } } }), false),
            (json!({ "start": {} }), false),
            (json!({ "send": { "key": null } }), true),
        ] {
            assert_eq!(within(&expected, &got), fits, "{expected}");
        }
    }

    #[test]
    fn each_miss_is_told() {
        let then: Then = serde_json::from_value(json!({
            "outcome": "done", "code": "x", "output": 1, "effects": [{}], "history": ["a succeeded"], "logs": ["hello"],
        }))
        .expect("it is one");
        let observed = Observed { outcome: "permanent".into(), ..Observed::default() };
        let misses = observed.misses(&then);
        let names: Vec<_> = misses.iter().filter_map(|miss| miss.split(':').next()).collect();
        assert_eq!(names, ["outcome", "code", "output", "effects", "history", "logs"]);
        assert!(Observed::default().misses(&Then::default()).is_empty());
    }
}
