//! The fault matrix, with no scenario written: of each saga of the plugin every step runs twice, every step fails, every
//! undo runs twice, and the host is lost before and after every commit. What comes out has to be what comes out
//! undisturbed; a step for which that is not so does not give the same for the same idempotency key.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use serde_json::{Value, json};
use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::Definition,
    outcome::{ErrorDetail, Failure},
    state::Status,
};

use crate::{
    Case, Report, Scenario, Stage, content,
    course::{self, Called, Course, Disturbance},
    logs,
    sample::sample,
    scenario::{Came, Exchange},
};

/// The first of January 2026, 00:00 UTC.
const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

/// Disturbs each saga of the plugin under test. Its input is that of the first scenario that runs it, else `input`, else a
/// sample of its schema; likewise what comes while it waits, and what steps return whose plugin is not loaded.
pub async fn faults(stage: &mut Stage, scenarios: &[Scenario], input: Option<&Value>) -> Report {
    let mut report = Report::default();
    for definition in stage.definitions() {
        let saga = Some(definition.name.as_ref());
        let told = scenarios.iter().find(|told| told.when.saga.as_deref() == saga);
        let http = told.into_iter().chain(scenarios).flat_map(|told| &told.given.http);
        let http = http.cloned().collect();
        let setting = Setting { http, ..Setting::of(definition, told, input) };
        let begun = Instant::now();
        if let Err(error) = stage.configure(&setting.config).await {
            report.cases.push(case(&setting, "its configuration", begun, Err(error.to_string())));
            continue;
        }
        setting.disturb(stage, &mut report).await;
    }
    report
}

/// A saga and what it is given.
struct Setting {
    definition: Arc<Definition>,
    input: Value,
    business_key: Option<String>,
    outputs: BTreeMap<String, Value>,
    arrivals: VecDeque<Came>,
    config: BTreeMap<String, String>,
    sql: Vec<String>,
    /// Those of the scenario first, then those of all others.
    http: Vec<Exchange>,
}

/// What is left when a saga has run.
#[derive(Clone, Debug, PartialEq)]
struct End {
    status: Status,
    left: BTreeMap<String, Value>,
    effects: Vec<Value>,
    requests: Vec<Value>,
    rows: BTreeMap<String, i64>,
    history: Vec<String>,
    calls: Vec<Called>,
}

impl Setting {
    fn of(definition: Arc<Definition>, told: Option<&Scenario>, input: Option<&Value>) -> Self {
        let schema = definition.input_schema.as_ref().map(|schema| sample(schema.content()));
        let empty = || Value::Object(serde_json::Map::new());
        let given = told.map(|told| told.given.clone()).unwrap_or_default();
        let input = given.input.or_else(|| input.cloned()).or(schema).unwrap_or_else(empty);
        Self {
            definition,
            input,
            business_key: given.business_key.or_else(|| Some("faults".into())),
            outputs: given.outputs,
            arrivals: told.map(|told| told.when.arrivals.clone().into()).unwrap_or_default(),
            config: given.config,
            sql: given.sql,
            http: Vec::new(),
        }
    }

    async fn disturb(&self, stage: &Stage, report: &mut Report) {
        let begun = Instant::now();
        let twice = (
            self.run(stage, |_| Disturbance::None).await,
            self.run(stage, |_| Disturbance::None).await,
        );
        let undisturbed = match twice.0 {
            Ok(end) if end.status == Status::Completed => end,
            Ok(end) => {
                let why = format!(
                    "undisturbed it ends {} ({}): give an input with which it completes, by a scenario or by --input; \
                     this one was {}",
                    end.status.as_str(),
                    end.history.join(", "),
                    self.input
                );
                return report.cases.push(case(self, "completes undisturbed", begun, Err(why)));
            }
            Err(why) => {
                return report.cases.push(case(self, "completes undisturbed", begun, Err(why)));
            }
        };
        report.cases.push(case(self, "completes undisturbed", begun, Ok(vec![])));
        // What differs without any fault, as a random id does, tells nothing about one.
        let volatile = twice.1.map(|again| differences(&undisturbed.told(), &again.told()));
        let volatile = volatile.unwrap_or_default();
        for (number, called) in undisturbed.calls.iter().enumerate() {
            let step = &called.step;
            for (what, disturbance) in [
                (
                    "is lost with its host before its commit, and runs again",
                    Disturbance::LostBeforeCommit,
                ),
                ("commits, and its host is lost", Disturbance::LostAfterCommit),
            ] {
                let begun = Instant::now();
                let ended = self.run(stage, at(number, &disturbance)).await;
                let failures = ended.map(|end| otherwise(&undisturbed, &end, &volatile));
                report.cases.push(case(self, &format!("{step} {what}"), begun, failures));
            }
            if !called.pivoted {
                self.fail(stage, report, (number, step), &volatile).await;
            }
        }
    }

    /// Fails a call; then runs each undo that follows twice.
    async fn fail(
        &self,
        stage: &Stage,
        report: &mut Report,
        (number, step): (usize, &str),
        volatile: &[String],
    ) {
        let permanent =
            Disturbance::Fails(Failure::Permanent(ErrorDetail::new("fault", "failed by the test")));
        let name = format!("{step} fails for good");
        let begun = Instant::now();
        let ended = match self.run(stage, at(number, &permanent)).await {
            Ok(ended) => ended,
            Err(why) => return report.cases.push(case(self, &name, begun, Err(why))),
        };
        let undone = matches!(ended.status, Status::Compensated | Status::Failed);
        let failures = (!undone).then(|| {
            format!("the saga ends {}: {}", ended.status.as_str(), ended.history.join(", "))
        });
        report.cases.push(case(self, &name, begun, Ok(failures.into_iter().collect())));
        let undos = ended.calls.iter().enumerate();
        for (undo, called) in undos.filter(|(_, called)| called.direction == Direction::Undo) {
            let twice = |at: usize| match at {
                at if at == number => permanent.clone(),
                at if at == undo => Disturbance::LostBeforeCommit,
                _ => Disturbance::None,
            };
            let begun = Instant::now();
            let again = self.run(stage, twice).await;
            let failures = again.map(|again| otherwise(&ended, &again, volatile));
            let name = format!("{step} fails for good, and the undo of {} runs twice", called.step);
            report.cases.push(case(self, &name, begun, failures));
        }
    }

    async fn run(
        &self,
        stage: &Stage,
        disturb: impl Fn(usize) -> Disturbance,
    ) -> Result<End, String> {
        stage.clear().await?;
        stage.clock().set(NOW);
        if !self.sql.is_empty() {
            stage.database()?.run(stage.plugin(), &self.sql).await?;
        }
        let input = content::payload(&self.input);
        if let Some(refusal) = self.definition.refusal(&input) {
            return Err(format!("{refusal}: give an input by a scenario or by --input"));
        }
        stage.http.play_on(&self.http);
        let _alone = logs::alone().await;
        let held = course::held(stage, &self.definition, self.business_key.clone(), input);
        let mut course = Course::new(stage, held, &self.outputs);
        course.arrivals = self.arrivals.clone();
        let ran = course.run(|number, _| disturb(number)).await;
        let _ = logs::take(&course.id().to_string());
        let asked = stage.http.asked();
        ran?;
        if let Some(unexpected) = asked.unexpected.into_iter().next() {
            return Err(format!(
                "{unexpected}: say by given.http of a scenario what it is answered"
            ));
        }
        Ok(End {
            status: course.status(),
            left: course.left(),
            effects: course.outbox.iter().map(content::effect).collect(),
            requests: asked.changes,
            rows: stage.counts().await?,
            history: course.history,
            calls: course.calls,
        })
    }
}

fn at(number: usize, disturbance: &Disturbance) -> impl Fn(usize) -> Disturbance {
    move |call| if call == number { disturbance.clone() } else { Disturbance::None }
}

impl End {
    /// What the saga has told the world and its reader.
    fn told(&self) -> Value {
        json!({ "outputs": self.left, "effects": self.effects, "requests": self.requests })
    }

    fn told_without(&self, volatile: &[String]) -> Value {
        let mut told = self.told();
        for place in volatile {
            if let Some(value) = told.pointer_mut(place) {
                *value = Value::Null;
            }
        }
        told
    }
}

/// The places, as JSON pointers, in which two values differ.
fn differences(a: &Value, b: &Value) -> Vec<String> {
    fn gather(a: &Value, b: &Value, place: &str, all: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
                for (name, value) in a {
                    let other = b.get(name).unwrap_or(&Value::Null);
                    let name = name.replace('~', "~0").replace('/', "~1");
                    gather(value, other, &format!("{place}/{name}"), all);
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (number, (a, b)) in a.iter().zip(b).enumerate() {
                    gather(a, b, &format!("{place}/{number}"), all);
                }
            }
            _ if a != b => all.push(place.to_owned()),
            _ => {}
        }
    }
    let mut all = Vec::new();
    gather(a, b, "", &mut all);
    all
}

/// Where a disturbed run ended otherwise than it had to.
fn otherwise(expected: &End, got: &End, volatile: &[String]) -> Vec<String> {
    let mut misses = Vec::new();
    for called in &got.calls {
        if let [first, again] = &called.returned[..]
            && first != again
        {
            let undo = if called.direction == Direction::Undo { "the undo of " } else { "" };
            misses.push(format!(
                "{undo}{} is not idempotent: under one idempotency key its first run returned {first}, and its second {again}",
                called.step
            ));
        }
    }
    let status = expected.status.as_str();
    if got.status != expected.status {
        let history = got.history.join(", ");
        misses.push(format!("ends {} and not {status}: {history}", got.status.as_str()));
    }
    let (told, had_to) = (got.told_without(volatile), expected.told_without(volatile));
    for what in ["outputs", "effects", "requests"] {
        if told[what] != had_to[what] {
            misses.push(format!("the {what} are {} and not {}", told[what], had_to[what]));
        }
    }
    if got.rows != expected.rows {
        let (rows, expected) = (json!(got.rows), json!(expected.rows));
        misses.push(format!("the tables have {rows} rows and not {expected}"));
    }
    misses
}

fn case(setting: &Setting, what: &str, begun: Instant, ended: Result<Vec<String>, String>) -> Case {
    let failures = ended.unwrap_or_else(|why| vec![why]);
    let name = format!("{}: {what}", setting.definition.name);
    Case { name, failures, logs: Vec::new(), took: begun.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_differ_are_told_one_by_one() {
        let a = json!({ "id": 1, "a/b": [1, { "x": 2 }], "same": true, "list": [1] });
        let b = json!({ "id": 2, "a/b": [1, { "x": 3 }], "same": true, "list": [1, 2] });
        assert_eq!(differences(&a, &b), ["/a~1b/1/x", "/id", "/list"]);
        assert_eq!(differences(&a, &a), [""; 0]);
    }
}
