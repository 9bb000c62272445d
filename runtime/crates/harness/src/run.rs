//! Runs scenarios on a stage, one after the other.

use std::{sync::Arc, time::Instant};

use serde_json::Value;
use wasaga_domain::{
    attempt::Direction,
    clock::{Clock as _, UnixMillis},
    definition::Definition,
    ids::TaskId,
    journal::{Entry, EntryKind},
    ledger::Ledger,
    message::{Header, Message},
    outcome::ErrorDetail,
    payload::Payload,
    ports::{TaskCall, TaskKind},
    state::{Activity, Course as Way, OpenStep},
};

use crate::{
    Case, Report, Scenario, Stage, content,
    course::{self, Course, Disturbance},
    expect::{Observed, observed, observed_task},
    logs,
    scenario::{Cause, Given, TaskWhen, When},
};

/// Tries all of these scenarios; what one leaves, the next one does not see.
pub async fn run(stage: &mut Stage, scenarios: &[Scenario]) -> Report {
    let mut report = Report::default();
    for scenario in scenarios {
        let begun = Instant::now();
        let (failures, logs) = match one(stage, scenario).await {
            Ok(ended) => ended,
            Err(why) => (vec![why], Vec::new()),
        };
        let (name, took) = (scenario.name.clone(), begun.elapsed());
        report.cases.push(Case { name, failures, logs, took });
    }
    report
}

async fn one(stage: &mut Stage, scenario: &Scenario) -> Result<(Vec<String>, Vec<String>), String> {
    let Scenario { given, when, then, .. } = scenario;
    stage.configure(&given.config).await.map_err(|error| error.to_string())?;
    stage.clear().await?;
    stage.clock().set(now(given)?);
    let plugin = stage.plugin().clone();
    if !given.sql.is_empty() {
        stage.database()?.run(&plugin, &given.sql).await?;
    }
    stage.http.play(&given.http);
    let happened = {
        let _alone = logs::alone().await;
        happens(stage, given, when).await
    };
    let asked = stage.http.asked();
    let observed = happened?;
    let mut misses = observed.misses(then);
    misses.extend(asked.unexpected.into_iter().chain(asked.unused));
    for check in &then.sql {
        let rows = stage.database()?.rows(&plugin, &check.query).await?;
        if rows != check.rows {
            let (expected, rows) = (Value::from(check.rows.clone()), Value::from(rows));
            misses.push(format!("sql: {}: expected {expected}, got {rows}", check.query));
        }
    }
    Ok((misses, observed.logs))
}

fn now(given: &Given) -> Result<UnixMillis, String> {
    let text = given.now.as_deref().unwrap_or("2026-01-01T00:00:00Z");
    let at = text.parse::<jiff::Timestamp>().map_err(|error| format!("given.now: {error}"))?;
    Ok(UnixMillis(at.as_millisecond()))
}

async fn happens(stage: &Stage, given: &Given, when: &When) -> Result<Observed, String> {
    if let Some(task) = &when.task {
        return task_happens(stage, task, when.attempt).await;
    }
    let input = given.input.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let input = content::payload(&input);
    if let Some(saga) = &when.saga {
        return saga_happens(stage, given, saga, when, input).await;
    }
    let (step, way) = match (&when.execute, &when.compensate, &when.resume) {
        (Some(step), ..) => (step, Direction::Forward),
        (_, Some(step), _) => (step, Direction::Undo),
        (.., Some(resume)) if resume.undo => (&resume.step, Direction::Undo),
        (.., Some(resume)) => (&resume.step, Direction::Forward),
        _ => return Err("nothing happens".into()),
    };
    let (definition, place) = step_of(stage, given, step)?;
    let mut held = course::held(stage, &definition, given.business_key.clone(), input);
    held.ledger = Arc::new(ledger(&definition, given, place)?);
    if way == Direction::Undo {
        held.state.course = Way::Undo(
            given
                .cause
                .as_ref()
                .map_or_else(|| ErrorDetail::new("cancelled", "the scenario undoes it"), detail),
        );
    }
    let mut open = OpenStep::first(place, stage.clock().now());
    open.attempt = when.attempt;
    if let Some(resume) = &when.resume {
        open.activity = Activity::Resume(course::arrival(&resume.with, |_| None)?);
    }
    let saga = held.facts.id.to_string();
    let _ = logs::take(&saga);
    let report = stage.step(held.call(&open, stage.clock().now())).await;
    let mut observed = observed(&report.outcome);
    if report.outcome.is_ok() {
        stage.commit(report.transaction).await?;
    }
    observed.logs = logs::take(&saga);
    Ok(observed)
}

/// What steps have left, and what the wait of this one has.
fn ledger(definition: &Definition, given: &Given, place: u16) -> Result<Ledger, String> {
    let mut ledger = Ledger::default();
    for (step, output) in &given.outputs {
        let known = definition.position(step);
        let known = known.ok_or_else(|| format!("given.outputs: {step:?} is no step"))?;
        let entry = Entry::of_saga(EntryKind::Succeeded, Direction::Forward, UnixMillis::default());
        let output = Some(content::payload(output));
        ledger.record(&Entry { step: Some(known as u16), output, ..entry });
    }
    let payload = |value: &Option<Value>| value.as_ref().map(content::payload);
    for direction in [Direction::Forward, Direction::Undo] {
        let entry = Entry::of_saga(EntryKind::Waiting, direction, UnixMillis::default());
        let (memo, undo) = (payload(&given.memo), payload(&given.undo));
        ledger.record(&Entry { step: Some(place), memo, undo, ..entry });
    }
    Ok(ledger)
}

/// The definition that has this step, and the step's place in it.
fn step_of(stage: &Stage, given: &Given, step: &str) -> Result<(Arc<Definition>, u16), String> {
    let catalog = stage.catalog();
    let all = catalog.definitions.values().map(|active| &active.definition);
    let fits = |definition: &&Arc<Definition>| {
        let named = given.saga.as_deref().is_none_or(|saga| saga == &*definition.name);
        let place =
            definition.position(step).filter(|place| stage.has(&definition.steps[*place].worker));
        named && place.is_some()
    };
    let found: Vec<&Arc<Definition>> = all.filter(fits).collect();
    match found[..] {
        [definition] => {
            let place = definition.position(step).unwrap_or_default();
            Ok((definition.clone(), place as u16))
        }
        [] => {
            Err(format!("no saga of the loaded plugins has a step {step:?} that one of them runs"))
        }
        _ => Err(format!("several sagas have a step {step:?}: say which by given.saga")),
    }
}

async fn saga_happens(
    stage: &Stage,
    given: &Given,
    saga: &str,
    when: &When,
    input: Payload,
) -> Result<Observed, String> {
    let catalog = stage.catalog();
    let active = catalog.definitions.get(saga);
    let active = active.ok_or_else(|| format!("no loaded plugin defines a saga {saga:?}"))?;
    if let Some(refusal) = active.definition.refusal(&input) {
        return Err(format!("given.input: {refusal}"));
    }
    let held = course::held(stage, &active.definition, given.business_key.clone(), input);
    let mut course = Course::new(stage, held, &given.outputs);
    let id = course.id().to_string();
    let _ = logs::take(&id);
    course.arrivals = when.arrivals.iter().cloned().collect();
    course.run(|_, _| Disturbance::None).await?;
    let left = course.left();
    let last = course.held.facts.definition.steps.last().map(|step| step.name.to_string());
    Ok(Observed {
        outcome: course.status().as_str().into(),
        error: course.held.state.cause().or(course.held.state.attention.as_ref()).cloned(),
        output: last.and_then(|last| left.get(&last).cloned()),
        effects: course.outbox.iter().map(content::effect).collect(),
        history: course.history,
        logs: logs::take(&id),
        ..Observed::default()
    })
}

async fn task_happens(stage: &Stage, task: &TaskWhen, attempt: u32) -> Result<Observed, String> {
    let reason = || task.reason.as_ref().map_or_else(|| ErrorDetail::new("unknown", ""), detail);
    let kind = match task.flow.as_str() {
        "out" => TaskKind::Out,
        "dead_in" => TaskKind::DeadIn(reason()),
        "dead_out" => TaskKind::DeadOut(reason()),
        _ => TaskKind::In,
    };
    let header = |(name, value): (&String, &String)| Header {
        name: name.clone(),
        value: value.clone().into(),
    };
    let (topic, now) = (task.topic.clone(), stage.clock().now());
    let call = TaskCall {
        id: TaskId(1),
        plugin: stage.plugin().clone(),
        attempt,
        idempotency_key: format!("cluster/{topic}/0/0"),
        deadline: now.after(std::time::Duration::from_secs(30)),
        traceparent: None,
        message: Message {
            topic,
            key: task.key.as_ref().map(|key| content::bytes(key).into()),
            headers: task.headers.iter().map(header).collect(),
            value: task.value.as_ref().map(|value| content::bytes(value).into()),
        },
        kind,
    };
    let subject = call.id.to_string();
    let _ = logs::take(&subject);
    let report = stage.task(call).await;
    let mut observed = observed_task(&report.outcome);
    if report.outcome.is_ok() {
        stage.commit(report.transaction).await?;
    }
    observed.logs = logs::take(&subject);
    Ok(observed)
}

fn detail(cause: &Cause) -> ErrorDetail {
    ErrorDetail::new(cause.code.clone(), cause.message.clone())
}
