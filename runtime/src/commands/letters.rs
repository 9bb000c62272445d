//! `wasaga dead-letters`: over the database itself, whether a host runs or not.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use wasaga_api::LetterPageView;
use wasaga_codec::Codecs;
use wasaga_domain::{
    dead_letter::{LetterFilter, LetterFlow, LetterVerb},
    message::Header,
};
use wasaga_store::{
    Store,
    dead_letter_edit::{Change, Edited, LetterEdit},
    dead_letter_end::EndedLetter,
    dead_letter_read::Letter,
    dead_letter_search::{LetterPage, Order},
};

use super::{letters_print, saga::print, saga_ask::Who};
use crate::{config::Config, host::startup};

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    /// Print JSON, as the HTTP API does
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List dead letters, newest first
    List(List),
    /// Print a dead letter
    Show(One),
    /// Mend a dead letter before it is redriven
    Edit(Edit),
    /// Make new tasks of dead letters
    Redrive(End),
    /// End dead letters, and make nothing of them
    Discard(End),
}

#[derive(Debug, Args)]
struct One {
    /// What was given up: a message on its way `in` or `out`
    #[arg(value_parser = flow)]
    flow: LetterFlow,
    /// Its number
    letter: i64,
}

#[derive(Debug, Args)]
struct Which {
    /// Of this topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// With this key
    #[arg(long)]
    key: Option<String>,
    /// In this status, or one of several: wait,error
    #[arg(long)]
    status: Option<String>,
    /// Given up for the reason of this code
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Given up longer ago than this, as 1h30m
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
    /// Sent by this saga
    #[arg(long, value_name = "ID")]
    saga: Option<String>,
}

#[derive(Debug, Args)]
struct List {
    /// What was given up: messages on their way `in` or `out`
    #[arg(value_parser = flow)]
    flow: LetterFlow,
    #[command(flatten)]
    which: Which,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Go on where the list before ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<i64>,
}

#[derive(Debug, Args)]
struct Edit {
    #[command(flatten)]
    one: One,
    /// Another topic, of a message on its way out
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Another key
    #[arg(long, conflicts_with = "no_key")]
    key: Option<String>,
    /// No key
    #[arg(long)]
    no_key: bool,
    /// Another value
    #[arg(long, value_name = "TEXT", conflicts_with = "no_value")]
    value: Option<String>,
    /// No value: a tombstone
    #[arg(long)]
    no_value: bool,
    /// Other headers, all of them; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<String>,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
struct End {
    /// What was given up: messages on their way `in` or `out`
    #[arg(value_parser = flow)]
    flow: LetterFlow,
    /// Their numbers
    #[arg(required = true)]
    letters: Vec<i64>,
    #[command(flatten)]
    who: Who,
}

impl DeadLetters {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let (store, json) = (startup::database(&config.database).await?, self.json);
        match self.command {
            Command::List(list) => {
                let (flow, page) = (list.flow, list.page(&store).await?);
                if json {
                    return print(&LetterPageView::of(flow, page));
                }
                letters_print::page(&page);
                Ok(())
            }
            Command::Show(one) => {
                let letter = one.read(&store).await?;
                letters_print::letter(one.flow, letter, &config.codecs()?, json).await
            }
            Command::Edit(edit) => edit.send(&store, &config.codecs()?, json).await,
            Command::Redrive(end) => end.send(&store, json, LetterVerb::Redrive).await,
            Command::Discard(end) if end.who.reason.is_none() => {
                bail!("--reason: say why: what is discarded is gone, and somebody will ask")
            }
            Command::Discard(end) => end.send(&store, json, LetterVerb::Discard).await,
        }
    }
}

impl One {
    async fn read(&self, store: &Store) -> anyhow::Result<Letter> {
        let Self { flow, letter } = self;
        let found = store.dead_letter_get(*flow, *letter).await?;
        found.ok_or_else(|| unknown(*flow, *letter))
    }
}

impl Which {
    fn filter(&self) -> anyhow::Result<LetterFilter> {
        let mut filter = LetterFilter::default();
        for (option, name, value) in [
            ("--topic", "topic", &self.topic),
            ("--key", "key", &self.key),
            ("--status", "status", &self.status),
            ("--reason", "reason", &self.reason),
            ("--older-than", "older_than", &self.older_than),
            ("--saga", "saga", &self.saga),
        ] {
            if let Some(value) = value {
                filter.take(name, value).map_err(|why| anyhow!("{option}: {why}"))?;
            }
        }
        Ok(filter)
    }
}

impl List {
    /// As many letters as were asked for, or all that there are.
    async fn page(self, store: &Store) -> anyhow::Result<LetterPage> {
        let filter = self.which.filter()?;
        if filter.saga.is_some() && self.flow == LetterFlow::In {
            bail!("--saga: no saga sent a record on its way in: list those on their way out");
        }
        let limit = usize::from(self.limit);
        let mut page = LetterPage { letters: Vec::new(), next: self.after };
        loop {
            let rest = limit - page.letters.len();
            let found = store
                .dead_letters_search(self.flow, &filter, Order::Newest, page.next, rest)
                .await?;
            page.letters.extend(found.letters);
            page.next = found.next;
            if page.next.is_none() || page.letters.len() >= limit {
                return Ok(page);
            }
        }
    }
}

impl Edit {
    async fn send(self, store: &Store, codecs: &Codecs, json: bool) -> anyhow::Result<()> {
        let One { flow, letter } = self.one;
        let header = |text: &String| {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| anyhow!("--header {text}: write it as NAME=VALUE"))?;
            Ok::<_, anyhow::Error>(Header { name: name.into(), value: value.to_owned().into() })
        };
        let headers = self.header.iter().map(header).collect::<Result<Vec<_>, _>>()?;
        let change = |text: Option<String>, none| match text {
            Some(text) => Change::Set(text.into_bytes()),
            None if none => Change::Remove,
            None => Change::Keep,
        };
        let edit = LetterEdit {
            topic: self.topic,
            key: change(self.key, self.no_key),
            headers: (!headers.is_empty()).then_some(headers),
            value: change(self.value, self.no_value),
        };
        if edit.is_empty() {
            bail!("nothing is to be changed: give --topic, --key, --value or --header");
        }
        if let Some((field, why)) = edit.fault(flow) {
            bail!("--{}: {why}", if field == "headers" { "header" } else { field });
        }
        match store.dead_letter_edit(flow, letter, &edit, &self.who.audit("edit")).await? {
            Edited::Done(letter) => letters_print::letter(flow, *letter, codecs, json).await,
            Edited::AtWork => bail!("a plugin is called for dead letter {letter} now: try again"),
            Edited::Ended(ending) => Err(is_final(letter, &ending, "edit")),
            Edited::Unknown => Err(unknown(flow, letter)),
        }
    }
}

impl End {
    /// Ends each; fails when one of them could not be ended, after the others were.
    async fn send(self, store: &Store, json: bool, verb: LetterVerb) -> anyhow::Result<()> {
        let Self { flow, letters, who } = self;
        let by = who.audit(verb.name());
        let ended = store.dead_letters_end(flow, &letters, verb, &by).await?;
        let ended: BTreeMap<i64, Option<i64>> =
            ended.into_iter().map(|EndedLetter { id, task_id }| (id, task_id)).collect();
        let mut failed = None;
        for id in letters {
            match ended.get(&id) {
                Some(task_id) if json => {
                    print(&json!({ "letter_id": id, "verb": verb.name(), "task_id": task_id }))?;
                }
                Some(Some(task)) => println!("dead letter {id} is task {task} now"),
                Some(None) => println!("dead letter {id} is {}", verb.ending()),
                None => {
                    let why = match store.dead_letter_get(flow, id).await? {
                        None => unknown(flow, id),
                        Some(letter) => match letter.found.ending {
                            Some(ending) => is_final(id, &ending, verb.name()),
                            None => {
                                anyhow!("dead letter {id}: nothing of it was kept: edit it first")
                            }
                        },
                    };
                    if let Some(before) = failed.replace(why) {
                        eprintln!("wasaga: {before:#}");
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

fn unknown(flow: LetterFlow, id: i64) -> anyhow::Error {
    anyhow!("there is no dead letter {id} of the flow {}", flow.as_str())
}

fn is_final(id: i64, ending: &str, verb: &str) -> anyhow::Error {
    anyhow!("dead letter {id} was {ending}, which is final: there is nothing to {verb}")
}

fn flow(text: &str) -> Result<LetterFlow, String> {
    LetterFlow::parse(text).ok_or_else(|| format!("{text:?} is no flow: there are in and out"))
}
