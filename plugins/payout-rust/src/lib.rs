//! The nightly payout: a saga that starts a transfer for each wage, waits for all of them, and reports.
//!
//! A transfer is a saga of its own: it takes the money from the till and puts it on an account, or gives it back. What
//! becomes of transfers is published on `payout.transfers`, and written down here.

mod books;
mod payday;
mod transfer;

use serde::Deserialize;
use wasaga_guest::{
    manifest::{Capabilities, Manifest},
    prelude::*,
};

struct Payout;

/// Where the lives of transfers are published.
const TRANSFERS: &str = "payout.transfers";

/// A message on `payout.transfers`, as far as it is read here.
#[derive(Deserialize)]
struct Happened {
    event: String,
    business_key: Option<String>,
}

impl Plugin for Payout {
    fn manifest() -> Manifest {
        Manifest::new("payout", env!("CARGO_PKG_VERSION"))
            .saga(payday::definition())
            .saga(transfer::definition())
            .handles(TRANSFERS)
            .migration("books", books::TABLES)
            .capabilities(Capabilities::new().sql().topic(TRANSFERS))
    }
}

impl Steps for Payout {
    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        match task.step() {
            "list" => payday::list(task),
            "pay" => payday::pay(task),
            "report" => payday::report(),
            "debit" => transfer::debit(task),
            "credit" => transfer::credit(task),
            _ => Err(task.unknown_step()),
        }
    }

    fn resume(
        task: &StepTask,
        memo: Option<Payload>,
        _: Option<Payload>,
        arrival: Arrival,
    ) -> Result<Outcome, Failure> {
        match task.step() {
            "pay" => payday::paid(memo, arrival),
            "credit" => transfer::cleared(task, &arrival),
            _ => Err(task.unknown_step()),
        }
    }

    fn compensate(task: &StepTask, _: Option<Payload>) -> Result<Outcome, Failure> {
        transfer::give_back(task)
    }
}

impl Tasks for Payout {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        let Happened { event, business_key } = task.message.parse()?;
        let event_id = task.message.require_header("event-id")?;
        books::event_insert(event_id, business_key.as_deref().unwrap_or("?"), &event)?;
        Ok(Vec::new())
    }
}

wasaga_guest::saga_and_task_plugin!(Payout);
