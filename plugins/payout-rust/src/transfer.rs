//! The saga `transfer`: from the till to an account.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasaga_guest::{
    manifest::{Saga, Step, Undo},
    prelude::*,
};

use crate::{TRANSFERS, books};

/// The saga's input: a wage.
#[derive(Deserialize, Serialize)]
pub struct Transfer {
    pub account: String,
    pub cents: i64,
}

pub fn definition() -> Saga {
    Saga::new("transfer", 1)
        .step(Step::new("debit").undo(Undo::new()))
        .step(Step::new("credit").timeout(Duration::from_hours(48)))
        .lifecycle_topic(TRANSFERS)
}

/// Takes the money from the till.
pub fn debit(task: &StepTask) -> Result<Outcome, Failure> {
    let Transfer { cents, .. } = task.input_json()?;
    books::balance_add(books::TILL, -cents)?;
    done_empty().into()
}

/// Puts it on the account: at once, or when a foreign bank has sent the signal `cleared`.
pub fn credit(task: &StepTask) -> Result<Outcome, Failure> {
    let Transfer { account, cents } = task.input_json()?;
    if account.starts_with("foreign-") {
        return wait().signal("cleared").into();
    }
    books::balance_add(&account, cents)?;
    done_empty().into()
}

/// The foreign bank has answered, or has not.
pub fn cleared(task: &StepTask, arrival: &Arrival) -> Result<Outcome, Failure> {
    let Arrival::Signal(_) = arrival else {
        return Err(Failure::permanent("not-cleared", "the foreign bank did not take it"));
    };
    let Transfer { account, cents } = task.input_json()?;
    books::balance_add(&account, cents)?;
    done_empty().into()
}

/// Undoes the debit.
pub fn give_back(task: &StepTask) -> Result<Outcome, Failure> {
    let Transfer { cents, .. } = task.input_json()?;
    books::balance_add(books::TILL, cents)?;
    done_empty().into()
}
