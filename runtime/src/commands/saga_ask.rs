//! What `wasaga saga` asks of sagas, with who asks and why: it stands in their histories.

use std::{env, fs, os::unix::fs::MetadataExt};

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use wasaga_domain::{
    ids::{Digest, SagaId},
    mail::{Audit, Verb},
    payload::Payload,
};
use wasaga_store::{Store, mail::Posted};

use super::saga::{print, saga_id};

#[derive(Debug, Args)]
pub(super) struct Who {
    /// Who asks [default: the user who runs this]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why: a sentence for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Their ids
    #[arg(required = true, value_parser = saga_id)]
    sagas: Vec<SagaId>,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
pub(super) struct AskStep {
    /// The saga's id
    #[arg(value_parser = saga_id)]
    saga: SagaId,
    /// The step's name
    step: String,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
pub(super) struct Retry {
    #[command(flatten)]
    pub ask: AskStep,
    /// The module that runs the step from now on, as sha256:… [default: the one that runs the others]
    #[arg(long, value_name = "DIGEST")]
    pub module: Option<Digest>,
}

#[derive(Debug, Args)]
pub(super) struct SupplyUndo {
    #[command(flatten)]
    pub ask: AskStep,
    /// What the step's undo is told from now on, as JSON
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    pub undo: Value,
}

#[derive(Debug, Args)]
pub(super) struct Signal {
    /// The saga's id
    #[arg(value_parser = saga_id)]
    saga: SagaId,
    /// The signal's name
    name: String,
    /// What it carries, as JSON
    #[arg(default_value = "null", value_parser = parse_json)]
    payload: Value,
}

impl Ask {
    /// Asks each; fails when one of them could not be asked, after the others were.
    pub(super) async fn send(self, store: &Store, json: bool, verb: &Verb) -> anyhow::Result<()> {
        let by = self.who.audit(verb.name());
        let mut failed = None;
        for saga in self.sagas {
            let posted = store.saga_ask(saga, verb, &by).await?;
            if let Err(error) = tell(saga, verb.name(), posted, json)
                && let Some(before) = failed.replace(error)
            {
                eprintln!("wasaga: {before:#}");
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl AskStep {
    pub(super) async fn send(
        self,
        store: &Store,
        json: bool,
        verb: impl FnOnce(String) -> Verb,
    ) -> anyhow::Result<()> {
        let Self { saga, step, who } = self;
        let known = store.saga_get(saga).await?.map(|saga| saga.steps).unwrap_or_default();
        if !known.is_empty() && !known.contains(&step) {
            bail!("saga {saga} has no step {step:?}; it has {}", known.join(", "));
        }
        let verb = verb(step);
        let posted = store.saga_ask(saga, &verb, &who.audit(verb.name())).await?;
        tell(saga, verb.name(), posted, json)
    }
}

impl Signal {
    pub(super) async fn send(self, store: &Store, json: bool) -> anyhow::Result<()> {
        let payload = Payload::json(self.payload.to_string());
        let posted = store.saga_signal(self.saga, &self.name, &payload).await?;
        tell(self.saga, "signal", posted, json)
    }
}

impl Who {
    pub(super) fn audit(&self, verb: &str) -> Audit {
        let reason = self.reason.clone();
        let reason = reason.unwrap_or_else(|| format!("{verb} on the command line"));
        Audit { by: Some(self.by.clone().unwrap_or_else(user)), reason }
    }
}

/// The user who runs this.
fn user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let id = fs::metadata("/proc/self").map(|process| process.uid());
        id.map_or_else(|_| "unknown".into(), |id| format!("uid {id}"))
    })
}

fn tell(saga: SagaId, verb: &str, posted: Posted, json: bool) -> anyhow::Result<()> {
    match posted {
        Posted::Accepted(status) if json => print(&json!({ "saga_id": saga, "status": status })),
        Posted::Accepted(status) => {
            println!("{saga} ({}): {verb} is posted", status.as_str());
            Ok(())
        }
        Posted::Final(status) => Err(anyhow!(
            "saga {saga} is {}, which is final: there is nothing to {verb}",
            status.as_str()
        )),
        Posted::PastPivot(status) => Err(anyhow!(
            "saga {saga} is {} and past its pivot: it can't be cancelled any more",
            status.as_str()
        )),
        Posted::NoModule(module) => Err(anyhow!(
            "no module {module} was ever active: `wasaga saga history --json {saga}` tells which ran"
        )),
        Posted::NotFound => Err(anyhow!("there is no saga {saga}")),
    }
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}
