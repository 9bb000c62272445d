//! An expense: earmarked, approved by somebody, paid out after a while in which it can still be withdrawn.
//!
//! Who approves sends the signal `approved` or `refused`: over HTTP, on the command line, or by a record on
//! `expense.decisions`, which this plugin makes a signal of.

mod ledger;

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use wasaga_guest::{
    manifest::{Capabilities, Manifest, Saga, Step, Trigger, Undo},
    message::{cancel, saga_of, signal},
    prelude::*,
};

struct Approval;

const EXPENSE: &str = "expense";
/// Where approvers are asked, and reminded.
const REQUESTS: &str = "expense.requests";
/// Where they may answer.
const DECISIONS: &str = "expense.decisions";
/// What needs no approval.
const SMALL_CENTS: i64 = 5_000;
/// So often is an approver reminded.
const REMINDERS: u32 = 2;

/// The saga's input.
#[derive(Deserialize)]
struct Expense {
    employee: String,
    cents: i64,
    #[serde(default = "day")]
    remind_after_ms: u64,
    #[serde(default = "day")]
    cool_off_ms: u64,
}

/// The value of a record on `expense.decisions`.
#[derive(Deserialize)]
struct Decided {
    expense_id: String,
    decision: Decision,
    by: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Approve,
    Refuse,
    Withdraw,
}

fn day() -> u64 {
    86_400_000
}

impl Plugin for Approval {
    fn manifest() -> Manifest {
        let saga = Saga::new(EXPENSE, 1)
            .step(Step::new("earmark").guarded().undo(Undo::new()))
            .step(Step::new("approve").guarded())
            .step(Step::new("cool_off"))
            .step(Step::new("pay_out"))
            .trigger(Trigger::http("/api/v1/expenses", "expense_id"))
            .input_schema(json!({
                "type": "object",
                "required": ["employee", "cents"],
                "additionalProperties": false,
                "properties": {
                    "expense_id": {"type": "string"},
                    "employee": {"type": "string", "minLength": 1},
                    "cents": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                    "remind_after_ms": {"type": "integer", "minimum": 1},
                    "cool_off_ms": {"type": "integer", "minimum": 0},
                },
            }));
        Manifest::new("approval", env!("CARGO_PKG_VERSION"))
            .saga(saga)
            .handles(DECISIONS)
            .migration("ledger", ledger::TABLE)
            .capabilities(Capabilities::new().sql().topic(REQUESTS))
    }
}

impl Steps for Approval {
    fn guard(task: &StepTask) -> Result<Verdict, Failure> {
        let Expense { employee, cents, .. } = task.input_json()?;
        Ok(match task.step() {
            "earmark" if employee.starts_with("former-") => {
                Verdict::refuse("not-employed", format!("{employee} does not work here"))
            }
            "approve" if cents <= SMALL_CENTS => Verdict::Skip,
            _ => Verdict::Proceed,
        })
    }

    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        let Expense { employee, cents, cool_off_ms, .. } = task.input_json()?;
        let id = task.business_key();
        match task.step() {
            "earmark" => {
                ledger::earmark(id, &employee, cents)?;
                done_empty().into()
            }
            "approve" => ask(task, 0),
            "cool_off" => wait().timeout(Duration::from_millis(cool_off_ms)).into(),
            "pay_out" => {
                ledger::settle(id, "paid")?;
                done_json(&json!({"paid_cents": cents})).into()
            }
            _ => Err(task.unknown_step()),
        }
    }

    fn resume(
        task: &StepTask,
        memo: Option<Payload>,
        _: Option<Payload>,
        arrival: Arrival,
    ) -> Result<Outcome, Failure> {
        match arrival {
            Arrival::Signal((name, by)) if name == "approved" => done(by).into(),
            Arrival::Signal((_, why)) => {
                let why: serde_json::Value = why.parse()?;
                Err(Failure::permanent("refused", format!("it was refused: {why}")))
            }
            _ if task.step() == "cool_off" => done_empty().into(),
            _ => match memo.map_or(Ok(0), |memo| memo.parse())? {
                REMINDERS => Err(Failure::permanent("nobody-answered", "nobody approved it")),
                reminders => ask(task, reminders + 1),
            },
        }
    }

    fn compensate(task: &StepTask, _: Option<Payload>) -> Result<Outcome, Failure> {
        ledger::settle(task.business_key(), "dropped")?;
        done_empty().into()
    }
}

/// Asks whoever approves, for the first time or once more, and waits for the answer.
fn ask(task: &StepTask, reminders: u32) -> Result<Outcome, Failure> {
    let Expense { employee, cents, remind_after_ms, .. } = task.input_json()?;
    let id = task.business_key();
    let request =
        json!({"expense_id": id, "employee": employee, "cents": cents, "reminder": reminders});
    wait()
        .signal("approved")
        .signal("refused")
        .timeout(Duration::from_millis(remind_after_ms))
        .send(Message::new(REQUESTS).key(id).json(&request))
        .memo(Payload::json(&reminders))
        .into()
}

impl Tasks for Approval {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        let Decided { expense_id, decision, by } = task.message.parse()?;
        let saga = saga_of(EXPENSE, expense_id);
        Ok(vec![match decision {
            Decision::Approve => signal(saga, "approved", &by),
            Decision::Refuse => signal(saga, "refused", &by),
            Decision::Withdraw => cancel(saga),
        }])
    }
}

wasaga_guest::saga_and_task_plugin!(Approval);
