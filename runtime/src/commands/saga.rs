//! `wasaga saga`: over the database itself, whether a host runs or not. What is asked of a saga is mail, which its
//! host takes in next.

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde::Serialize;
use wasaga_api::{HistoryView, PageView, SagaView};
use wasaga_domain::{ids::SagaId, mail::Verb, payload::Payload, search::SagaFilter};
use wasaga_store::{
    Store,
    retention::Tombstone,
    saga_read::{JournalRow, SagaRow},
    saga_search::{Cursor, Page},
};

use super::{
    saga_ask::{Ask, AskStep, Retry, Signal, SupplyUndo},
    saga_migrate::Migrate,
    saga_print,
};
use crate::{config::Config, host::startup};

#[derive(Debug, Args)]
pub(crate) struct Saga {
    /// Print JSON, as the HTTP API does
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List sagas, newest first
    List(List),
    /// Print a saga
    Show(One),
    /// Print what happened to a saga
    History(One),
    /// Undo sagas
    Cancel(Ask),
    /// Call no further steps of sagas until they are resumed
    Pause(Ask),
    /// Go on now: whatever waits for time is due, what gave up is tried again
    Resume(Ask),
    /// End sagas that ask for an operator: what is left was settled by hand
    Resolve(Ask),
    /// Try a step (or its undo) again that gave up
    Retry(Retry),
    /// Pass over a step (or its undo) that gave up
    Skip(AskStep),
    /// Say what a step's undo needs to know, and try it again
    SupplyUndo(SupplyUndo),
    /// Send a saga a signal
    Signal(Signal),
    /// Move sagas in flight to another version of their definition
    Migrate(Migrate),
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    #[arg(value_parser = saga_id)]
    saga: SagaId,
}

#[derive(Debug, Args)]
struct List {
    /// Of this definition
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// In this status, or one of several: waiting,paused
    #[arg(long)]
    status: Option<String>,
    /// Running for this business key
    #[arg(long, value_name = "KEY")]
    business_key: Option<String>,
    /// Working on this step now
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Started longer ago than this, as 1h30m
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
    /// With this in its input, as /customer/id=c-1; may be repeated
    #[arg(long, value_name = "POINTER=VALUE")]
    input: Vec<String>,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Go on where the list before ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

impl Saga {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let (store, json) = (startup::database(&config.database).await?, self.json);
        match self.command {
            Command::List(list) => {
                let page = list.page(&store).await?;
                if json {
                    return print(&PageView::from(page));
                }
                saga_print::page(&page);
                Ok(())
            }
            Command::Show(One { saga }) => {
                let (saga, journal) = read(&store, saga).await?;
                let view = SagaView::of(saga, &journal);
                if json { print(&view) } else { saga_print::saga(&view) }
            }
            Command::History(One { saga }) => {
                let (saga, journal) = read(&store, saga).await?;
                let view = HistoryView::of(&saga, &journal);
                if json {
                    return print(&view);
                }
                saga_print::history(&journal);
                Ok(())
            }
            Command::Cancel(ask) => ask.send(&store, json, &Verb::Cancel).await,
            Command::Pause(ask) => ask.send(&store, json, &Verb::Pause).await,
            Command::Resume(ask) => ask.send(&store, json, &Verb::Resume).await,
            Command::Resolve(ask) => ask.send(&store, json, &Verb::Resolve).await,
            Command::Retry(Retry { ask, module }) => {
                ask.send(&store, json, |step| Verb::Retry { step, module }).await
            }
            Command::Skip(ask) => ask.send(&store, json, |step| Verb::Skip { step }).await,
            Command::SupplyUndo(SupplyUndo { undo, ask }) => {
                let undo = Payload::json(undo.to_string());
                ask.send(&store, json, |step| Verb::SupplyUndo { step, undo }).await
            }
            Command::Signal(signal) => signal.send(&store, json).await,
            Command::Migrate(migrate) => migrate.send(config, &store, json).await,
        }
    }
}

impl List {
    /// As many sagas as were asked for, or all that there are.
    async fn page(self, store: &Store) -> anyhow::Result<Page> {
        let mut filter = SagaFilter::default();
        let mut take = |option: &str, name: &str, value: Option<&str>| {
            let taken = value.map_or(Ok(true), |value| filter.take(name, value));
            taken.map(|_| ()).map_err(|why| anyhow!("{option}: {why}"))
        };
        take("--definition", "definition", self.definition.as_deref())?;
        take("--status", "status", self.status.as_deref())?;
        take("--business-key", "business_key", self.business_key.as_deref())?;
        take("--step", "step", self.step.as_deref())?;
        take("--older-than", "older_than", self.older_than.as_deref())?;
        for input in &self.input {
            let (pointer, value) = input.split_once('=').context("--input: write it as /a/b=c")?;
            take("--input", &format!("input.{pointer}"), Some(value))?;
        }
        let after: Option<Cursor> = self
            .after
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|()| anyhow!("--after: it is not what the list before said"))?;
        let limit = usize::from(self.limit);
        let mut page = Page { sagas: Vec::new(), next: after };
        loop {
            let rest = limit - page.sagas.len();
            let found = store.sagas_search(&filter, page.next, rest).await?;
            page.sagas.extend(found.sagas);
            page.next = found.next;
            if page.next.is_none() || page.sagas.len() >= limit {
                return Ok(page);
            }
        }
    }
}

async fn read(store: &Store, id: SagaId) -> anyhow::Result<(SagaRow, Vec<JournalRow>)> {
    let Some(saga) = store.saga_get(id).await? else {
        return Err(match store.tombstone_get(id).await? {
            Some(Tombstone { status, ended_at }) => {
                let status = status.as_str();
                anyhow!("saga {id} ended {status} at {ended_at}, and was dropped since")
            }
            None => anyhow!("there is no saga {id}"),
        });
    };
    let mut journal = store.journal_list(id).await?;
    journal.retain(|entry| entry.number <= saga.sequence);
    Ok((saga, journal))
}

/// A saga's id on the command line.
pub(super) fn saga_id(text: &str) -> Result<SagaId, String> {
    text.parse().map(SagaId).map_err(|_| format!("{text:?} is not a UUID, as saga ids are"))
}

/// Prints JSON.
pub(super) fn print(view: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(view)?);
    Ok(())
}
