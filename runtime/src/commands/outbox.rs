//! `wasaga outbox`: over the database itself, whether a host runs or not. The relay of a host finds what is emitted here.

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use wasaga_api::{MessagesView, WholeView};
use wasaga_domain::{clock::UnixMillis, message_search::MessageFilter};
use wasaga_store::{
    Outbox as _, Store,
    emit::NewMessage,
    outbox_find::{FoundMessage, FoundMessages},
};

use super::table;
use crate::{config::Config, host::startup};

#[derive(Debug, Args)]
pub(crate) struct Outbox {
    /// Print JSON, as the HTTP API does
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List messages, newest first
    Find(Find),
    /// Print a message, with what it carries
    Show {
        /// Its id
        id: i64,
    },
    /// Add a message, or an array of messages of which all are sent or none
    Emit {
        /// JSON, as `{"topic": "orders.placed", "key": "o-1", "payload": {"cents": 1200}}`
        message: String,
    },
}

#[derive(Debug, Args)]
struct Find {
    /// To this topic
    #[arg(long)]
    topic: Option<String>,
    /// With this key
    #[arg(long)]
    key: Option<String>,
    /// In this status, or one of several: wait,rollback
    #[arg(long)]
    status: Option<String>,
    /// Of this aggregate
    #[arg(long, value_name = "ID")]
    aggregate_id: Option<String>,
    /// Of this type
    #[arg(long, value_name = "NAME")]
    event_type: Option<String>,
    /// Emitted under this key
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Emitted longer ago than this, as 1h30m
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
    /// How many, at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    /// Go on where the list before ended
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
}

impl Outbox {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let store = startup::database(&config.database).await?;
        match self.command {
            Command::Find(find) => {
                let page = find.page(&store).await?;
                if self.json {
                    return print(&MessagesView::from(page));
                }
                list(page);
                Ok(())
            }
            Command::Show { id } => {
                let missing =
                    || anyhow!("there is no message {id}, or it was published and deleted since");
                let message = store.message(id).await?.ok_or_else(missing)?;
                print(&WholeView::of(message, &config.codecs()?).await)
            }
            Command::Emit { message } => {
                let what = "the message must be a JSON object, or an array of them";
                let messages = if message.trim_start().starts_with('[') {
                    serde_json::from_str::<Vec<NewMessage>>(&message).context(what)?
                } else {
                    vec![serde_json::from_str(&message).context(what)?]
                };
                for id in store.emit(&messages).await? {
                    println!("{id}");
                }
                Ok(())
            }
        }
    }
}

impl Find {
    async fn page(&self, store: &Store) -> anyhow::Result<FoundMessages> {
        let mut filter = MessageFilter::default();
        for (name, value) in [
            ("topic", &self.topic),
            ("key", &self.key),
            ("status", &self.status),
            ("aggregate_id", &self.aggregate_id),
            ("event_type", &self.event_type),
            ("idempotency_key", &self.idempotency_key),
            ("older_than", &self.older_than),
        ] {
            if let Some(value) = value {
                let taken = filter.take(name, value);
                taken.map_err(|why| anyhow!("--{}: {why}", name.replace('_', "-")))?;
            }
        }
        Ok(store.find(&filter, self.after, usize::from(self.limit)).await?)
    }
}

fn list(page: FoundMessages) {
    let at = |at: Option<UnixMillis>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let row = |message: FoundMessage| {
        let key = message.key.unwrap_or_default();
        [
            message.id.to_string(),
            message.status.as_str().to_owned(),
            message.topic,
            key.escape_ascii().to_string(),
            message.attempts.to_string(),
            message.created_at.to_string(),
            at(message.finished_at),
        ]
    };
    let titles = ["ID", "STATUS", "TOPIC", "KEY", "ATTEMPTS", "CREATED", "FINISHED"];
    table::print(titles, page.messages.into_iter().map(row));
    if let Some(next) = page.next {
        println!("more: --after {next}");
    }
}

fn print(view: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(view)?);
    Ok(())
}
