//! The saga `payday`: each night at two, a child for each wage.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use wasaga_guest::{
    context,
    manifest::{Saga, Step, Trigger},
    message::start,
    prelude::*,
    step::{ChildEnd, Wait},
};

use crate::{books, transfer::Transfer};

/// The saga's input.
#[derive(Deserialize)]
struct Input {
    /// Whom to pay; absent: all.
    only: Option<Vec<String>>,
}

/// How far the payday is: by account, why it was not paid, if it was not.
#[derive(Default, Deserialize, Serialize)]
struct Progress {
    under_way: Vec<String>,
    paid: Vec<String>,
    unpaid: BTreeMap<String, String>,
}

pub fn definition() -> Saga {
    Saga::new("payday", 1)
        .step(Step::new("list"))
        // What is paid stays paid: there is no undo. A payday that is cancelled stops the transfers under way.
        .step(Step::new("pay").timeout(Duration::from_hours(72)))
        .step(Step::new("report"))
        .trigger(Trigger::schedule("0 2 * * *"))
}

/// The wages to be paid.
pub fn list(task: &StepTask) -> Result<Outcome, Failure> {
    let Input { only } = task.input_json()?;
    let mut wages = books::wages()?;
    wages.retain(|wage| only.as_ref().is_none_or(|only| only.contains(&wage.account)));
    done_json(&wages).into()
}

/// Starts them all, each as a child that is named by its account.
pub fn pay(task: &StepTask) -> Result<Outcome, Failure> {
    let wages: Vec<Transfer> = context::require_output("list")?;
    let child = |wage: &Transfer| {
        let key = format!("{}/{}", task.business_key(), wage.account);
        start("transfer", wage).key(key).child(&wage.account)
    };
    let under_way = wages.iter().map(|wage| wage.account.clone()).collect();
    match go_on(Progress { under_way, ..Progress::default() }) {
        Outcome::Wait(wait) => wages.iter().map(child).fold(wait, Wait::effect).into(),
        done @ Outcome::Done(_) => Ok(done),
    }
}

/// One of them has ended.
pub fn paid(memo: Option<Payload>, arrival: Arrival) -> Result<Outcome, Failure> {
    let memo = memo.ok_or_else(|| Failure::permanent("no-memo", "the progress is lost"))?;
    let mut progress: Progress = memo.parse()?;
    let Arrival::Child((account, ChildEnd { status, error, .. })) = arrival else {
        return Err(Failure::unknown("too-slow", "not all transfers ended in time"));
    };
    progress.under_way.retain(|other| *other != account);
    if status == "completed" {
        progress.paid.push(account);
    } else {
        progress.unpaid.insert(account, error.map_or(status, |error| error.code));
    }
    Ok(go_on(progress))
}

/// Waits for the next child, or is done.
fn go_on(progress: Progress) -> Outcome {
    if progress.under_way.is_empty() {
        return done_json(&progress).into();
    }
    progress.under_way.iter().fold(wait(), Wait::child).memo(Payload::json(&progress)).into()
}

pub fn report() -> Result<Outcome, Failure> {
    let Progress { mut paid, unpaid, .. } = context::require_output("pay")?;
    paid.sort();
    done_json(&json!({"paid": paid, "unpaid": unpaid})).into()
}
