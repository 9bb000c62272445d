//! The inbox: works off the messages that the consumer stored, on the lanes this host holds.
//!
//! A record goes to the sagas that wait for it, or to the plugin that hears its topic. One task, the actor, owns
//! what the host knows of its lanes; calls and commits run beside it and report to it. Records of one (topic,
//! partition, key) are handled one at a time, in offset order; one that fails holds up its own key and no other.
//!
//! To add a kind of recipient: a case in `wasaga_domain::catalog::Recipient`, and one in `actor/dispatch.rs`.

mod actor;
mod board;
mod clean;
mod commit;
mod end;
mod lanes;
mod locate;
mod look;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use wasaga_domain::{
    clock::Clock,
    ids::HostId,
    ports::{CatalogSource, TaskExecutor},
    retry::RetryPolicy,
};
use wasaga_store::Store;

/// How much the inbox takes on, and how it goes about it.
#[derive(Clone, Debug)]
pub struct InboxOptions {
    /// Calls of plugins at once.
    pub concurrency: usize,
    /// Calls of one plugin at once.
    pub plugin_concurrency: usize,
    /// How often a record that failed is tried again.
    pub retry: RetryPolicy,
    /// How long a message that nobody waits for yet is kept.
    pub early_reply_ttl: Duration,
    /// How long a call may take.
    pub attempt_timeout: Duration,
    /// How often to look for records that nobody announced.
    pub poll: Duration,
    /// How long a finished task is kept.
    pub retention: Duration,
    /// How long a dead letter that has ended is kept.
    pub letter_retention: Duration,
    /// How long a stop waits for calls and commits under way.
    pub grace: Duration,
}

impl Default for InboxOptions {
    fn default() -> Self {
        Self {
            concurrency: 32,
            plugin_concurrency: 16,
            retry: RetryPolicy::Exponential {
                initial_ms: 100,
                multiplier: 2.0,
                max_delay_ms: 30_000,
                max_attempts: Some(10),
                jitter: 0.2,
            },
            early_reply_ttl: Duration::from_hours(1),
            attempt_timeout: Duration::from_secs(30),
            poll: Duration::from_millis(500),
            retention: Duration::from_hours(1),
            letter_retention: Duration::from_hours(7 * 24),
            grace: Duration::from_secs(10),
        }
    }
}

/// What the inbox works with.
pub struct InboxParts {
    /// The database.
    pub store: Store,
    /// Who says which plugin hears which topic.
    pub catalog: Arc<dyn CatalogSource>,
    /// Who calls the plugins.
    pub executor: Arc<dyn TaskExecutor>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The host's lease.
    pub host: watch::Receiver<Option<HostId>>,
    /// Rung by the consumer when it has stored records.
    pub stored: Arc<Notify>,
    /// Rung by the inbox when it has woken sagas.
    pub sagas: Arc<Notify>,
    /// Rung by the inbox when it has committed messages for the outbox.
    pub outbox: Arc<Notify>,
}

/// The inbox.
pub struct Inbox;

impl Inbox {
    /// Starts it; it runs until it is stopped, or its handle is dropped.
    pub fn start(parts: InboxParts, options: InboxOptions) -> InboxHandle {
        let stop = CancellationToken::new();
        let cleaner = clean::run(parts.store.clone(), options.clone(), stop.clone());
        let actor = actor::Actor::new(parts, options).run(stop.clone());
        let task = tokio::spawn(async move {
            tokio::join!(cleaner, actor);
        });
        InboxHandle { stop, task }
    }
}

/// A running inbox.
pub struct InboxHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl InboxHandle {
    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Begins nothing more, waits at most the grace for what is under way, and gives the lanes back.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the inbox ended before it was stopped");
        }
    }
}

impl Drop for InboxHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
