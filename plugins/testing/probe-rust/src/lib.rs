//! A plugin that does what its input says, so that the host's tests can drive every outcome: see [`script`].
//!
//! Definition `probe`, version 1, steps a, b and c: guarded, three attempts 10 ms apart in both directions, 5 s each;
//! `probe-pinned` is the same, and its sagas keep the code they started with.
//! The flow's topic `probe.tasks` takes the same actions: `{"attempts": [action, …]}`. Replies that waits hear come on
//! `probe.replies` (by the header correlation-id), `probe.keyed` (by the key) and `probe.bodies` (by `/correlation`).

mod perform;
mod script;

use std::time::Duration;

use serde_json::{Value, json};
use wasaga_guest::{
    manifest::{Capabilities, Locator, Manifest, Retry, Saga, Step, Undo},
    prelude::*,
};

use crate::{
    perform::{after_wait, perform_step, perform_task},
    script::{Guard, Script, TaskScript, nth, with_names},
};

struct Probe;

impl Plugin for Probe {
    fn manifest() -> Manifest {
        let sql = cfg!(feature = "sql");
        let http = cfg!(feature = "http");
        let name = if sql {
            "probe-sql"
        } else if http {
            "probe-http"
        } else {
            "probe"
        };
        let retry = || Retry::fixed(Duration::from_millis(10)).attempts(3);
        let timeout = Duration::from_secs(5);
        let step = |name| {
            let undo = Undo::new().timeout(timeout).retry(retry());
            Step::new(name).guarded().timeout(timeout).retry(retry()).undo(undo)
        };
        let saga = |name| Saga::new(name, 1).step(step("a")).step(step("b")).step(step("c"));
        let manifest = Manifest::new(name, env!("CARGO_PKG_VERSION")).saga(saga(name));
        let capabilities = Capabilities::new().topic(format!("{name}.*")).config_key("greeting");
        let manifest = manifest
            .awaits(format!("{name}.replies"), Locator::header("correlation-id"))
            .awaits(format!("{name}.keyed"), Locator::Key)
            .awaits(format!("{name}.bodies"), Locator::json_pointer("/correlation"))
            .handles(format!("{name}.tasks"));
        if sql {
            manifest
                .migration("marks", "create table marks (note text primary key)")
                .capabilities(capabilities.sql())
        } else if http {
            let hosts = ["127.0.0.1:*", "localhost:*", "*.example.com"];
            let capabilities = hosts.into_iter().fold(capabilities, Capabilities::http_host);
            manifest.capabilities(capabilities.secret("token"))
        } else {
            manifest.saga(saga("probe-pinned").pin_workers()).capabilities(capabilities)
        }
    }
}

impl Steps for Probe {
    fn guard(task: &StepTask) -> Result<Verdict, Failure> {
        let script = script(task)?;
        match nth(script.guards.get(task.step()), task.attempt.number).unwrap_or_default() {
            Guard::Proceed => Ok(Verdict::Proceed),
            Guard::Skip => Ok(Verdict::Skip),
            Guard::Reject => Ok(Verdict::refuse("rejected", "the script's guard rejects")),
            Guard::Retryable => Err(Failure::retryable("guard", "the script's guard fails")),
            Guard::Trap => panic!("the script's guard panics"),
        }
    }

    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        let script = script(task)?;
        match nth(script.steps.get(task.step()), task.attempt.number) {
            Some(action) => perform_step(action),
            None => {
                done_json(&said(task, &Value::Null)).undo_json(&said(task, &Value::Null)).into()
            }
        }
    }

    fn resume(
        task: &StepTask,
        memo: Option<Payload>,
        undo: Option<Payload>,
        arrival: Arrival,
    ) -> Result<Outcome, Failure> {
        after_wait(task, memo, undo, arrival)
    }

    fn compensate(task: &StepTask, undo: Option<Payload>) -> Result<Outcome, Failure> {
        let script = script(task)?;
        if let Some(action) = nth(script.undo.get(task.step()), task.attempt.number) {
            return perform_step(action);
        }
        let undo: Value = undo.map(|undo| undo.parse()).transpose()?.unwrap_or_default();
        done_json(&said(task, &undo)).into()
    }
}

impl Tasks for Probe {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        let script: TaskScript = task.message.parse()?;
        nth(Some(&script.attempts), task.attempt).map_or(Ok(Vec::new()), perform_task)
    }
}

fn script(task: &StepTask) -> Result<Script, Failure> {
    with_names(task)?.parse()
}

/// The output where the script says none: which code ran which attempt, and what it was given.
fn said(task: &StepTask, undo: &Value) -> Value {
    json!({
        "step": task.step(),
        "attempt": task.attempt.number,
        "version": env!("CARGO_PKG_VERSION"),
        "undo": undo,
    })
}

wasaga_guest::saga_and_task_plugin!(Probe);
