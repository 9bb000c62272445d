//! Shadow replay: what a module would have done in the place of those that ran. Each call of a saga's past is made
//! once more, of the module that ran then and of the candidate, under the same circumstances: what they do otherwise is the
//! candidate's doing, and nothing of either stays.

mod compared;
mod past;

use std::sync::Arc;

use serde::Serialize;
use wasaga_domain::{
    attempt::Direction,
    definition::Definition,
    ids::{PluginName, SagaId},
    outcome::{Failure, StepOutcome},
    ports::{StepCall, StepReport},
};
use wasaga_plugin_host::http_call;
use wasaga_store::{saga_past::SagaPast, saga_read::JournalRow};

use crate::{Shadow, scenario::Exchange};

pub use compared::Difference;
use compared::{Answered, drift};
use past::Past;

/// What is held against each other.
#[derive(Clone, Copy)]
pub struct Replay<'a> {
    /// Has the modules that ran.
    pub then: &'a Shadow,
    /// Has the candidate.
    pub candidate: &'a Shadow,
    /// The plugin that it is.
    pub plugin: &'a PluginName,
}

/// What came of a saga.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replayed {
    /// Each call of the plugin that was made once more.
    pub attempts: Vec<Attempted>,
    /// What was not, and why: a sentence each.
    pub left_out: Vec<String>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempted {
    /// The saga.
    pub saga_id: SagaId,
    /// The journal's entry about it.
    pub entry: u32,
    /// The step.
    pub step: String,
    /// Forward or undo.
    pub direction: Direction,
    /// From 1.
    pub attempt: u32,
    /// What the candidate does otherwise than the module that ran; empty: nothing.
    pub differences: Vec<Difference>,
    /// What the module that ran does otherwise now than it did: what it read has changed meanwhile, so that less is
    /// known of what the candidate would have done.
    pub drifted: Vec<&'static str>,
}

impl Replay<'_> {
    /// Makes the plugin's calls of this saga once more.
    pub async fn saga(&self, saga: &SagaPast, definition: Arc<Definition>) -> Replayed {
        let mut replayed = Replayed::default();
        let mut past = Past::new(saga, definition);
        for row in &saga.journal {
            let call = past.call(row, self.plugin);
            let mut wait = None;
            match call {
                Some(Ok(call)) => {
                    let (attempted, waits) = self.attempt(saga, row, call).await;
                    replayed.attempts.extend(attempted.map_err(|why| replayed.left_out.push(why)));
                    wait = waits;
                }
                Some(Err(why)) => replayed.left_out.push(format!("saga {}: {why}", saga.id)),
                None => {}
            }
            past.pass(row, wait);
        }
        replayed
    }

    async fn attempt(
        &self,
        saga: &SagaPast,
        row: &JournalRow,
        call: StepCall,
    ) -> (Result<Attempted, String>, past::Awaited) {
        let answers = recorded(saga, &call);
        let then = StepCall { module: row.digest, ..call.clone() };
        let (before, waits) = answered(self.then, then, row, &answers).await;
        if let Err(Failure::Unavailable(detail)) = &before.outcome {
            let why = format!("saga {}: entry {}: {}", saga.id, row.number, detail.message);
            return (Err(why), waits);
        }
        let candidate = StepCall { module: None, ..call };
        let (after, _) = answered(self.candidate, candidate, row, &answers).await;
        let attempted = Attempted {
            saga_id: saga.id,
            entry: row.number,
            step: row.step.clone().unwrap_or_default(),
            direction: row.direction,
            attempt: row.attempt,
            differences: before.differences(&after),
            drifted: drift(row, &before),
        };
        (Ok(attempted), waits)
    }
}

/// Calls, and takes up what came of it; its SQL is rolled back by being dropped.
async fn answered(
    shadow: &Shadow,
    call: StepCall,
    row: &JournalRow,
    answers: &[Exchange],
) -> (Answered, past::Awaited) {
    let StepReport { outcome, transaction, .. } = shadow.call(call, row.started_at, answers).await;
    drop(transaction);
    let waits = match &outcome {
        Ok(StepOutcome::Wait(wait)) => Some(wait.sources.clone()),
        _ => None,
    };
    (Answered { outcome, asked: shadow.http.asked() }, waits)
}

/// What the call's requests were answered.
fn recorded(saga: &SagaPast, call: &StepCall) -> Vec<Exchange> {
    let asking = http_call(&call.attempt, &call.kind);
    let own = saga.requests.iter().filter(|(by, _)| *by == asking);
    own.map(|(_, exchange)| Exchange::from(exchange)).collect()
}
