//! The inbox: works off the messages that the consumer stored, on the lanes this host holds; and in the same way the other
//! flows in whose tasks plugins take part.
//!
//! A record goes to the sagas that wait for it, or to the plugin that hears its topic. One task, the actor, owns
//! what the host knows of its lanes; calls and commits run beside it and report to it. Records of one (topic,
//! partition, key) are handled one at a time, in offset order; one that fails holds up its own key and no other.
//!
//! Dead letters go to the plugin that names their topic, each by itself. A message on its way out goes through the plugin
//! that names its topic, in the order of its key, and the relay publishes what the plugin makes of it.
//!
//! What a locator finds in a value, and what a saga gets as its input, is read by the codec of the topic. Whose schema is not
//! here yet holds its key until it is.
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
mod look_out;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use wasaga_domain::{
    clock::Clock,
    ids::{HostId, PluginName},
    ports::{CatalogSource, TaskExecutor},
    retry::RetryPolicy,
    value_reader::ValueReader,
};
use wasaga_store::{Store, lanes::Flow};

/// How much one flow takes on.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowLimits {
    /// Calls of plugins at once.
    pub concurrency: usize,
    /// Calls of one plugin at once, where it has no limit of its own.
    pub plugin_concurrency: usize,
    /// Calls at once of each plugin that has one.
    pub plugin_overrides: BTreeMap<PluginName, usize>,
    /// How often a task that failed is tried again.
    pub retry: RetryPolicy,
}

/// How much the inbox takes on, and how it goes about it.
#[derive(Clone, Debug)]
pub struct InboxOptions {
    /// Records on their way in.
    pub r#in: FlowLimits,
    /// Messages that a plugin sees before they are published.
    pub handle_out: FlowLimits,
    /// Dead letters that were given up on their way in.
    pub dead_in: FlowLimits,
    /// Dead letters that were given up on their way out.
    pub dead_out: FlowLimits,
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

impl FlowLimits {
    /// Calls of this plugin at once.
    pub(crate) fn of_plugin(&self, name: &PluginName) -> usize {
        self.plugin_overrides.get(name).copied().unwrap_or(self.plugin_concurrency)
    }
}

impl Default for InboxOptions {
    fn default() -> Self {
        let limits = |concurrency, plugin_concurrency| FlowLimits {
            concurrency,
            plugin_concurrency,
            plugin_overrides: BTreeMap::new(),
            retry: RetryPolicy::Exponential {
                initial_ms: 100,
                multiplier: 2.0,
                max_delay_ms: 30_000,
                max_attempts: Some(10),
                jitter: 0.2,
            },
        };
        Self {
            r#in: limits(32, 16),
            handle_out: limits(32, 16),
            dead_in: limits(8, 4),
            dead_out: limits(8, 4),
            early_reply_ttl: Duration::from_hours(1),
            attempt_timeout: Duration::from_secs(30),
            poll: Duration::from_millis(500),
            // Longer than an hour without the broker, after which what was not marked comes again.
            retention: Duration::from_hours(4),
            letter_retention: Duration::from_hours(7 * 24),
            grace: Duration::from_secs(10),
        }
    }
}

impl InboxOptions {
    /// The limits of a flow.
    fn limits(&self, flow: Flow) -> &FlowLimits {
        match flow {
            Flow::In | Flow::Out => &self.r#in,
            Flow::HandleOut => &self.handle_out,
            Flow::DeadIn => &self.dead_in,
            Flow::DeadOut => &self.dead_out,
        }
    }
}

/// What the inbox works with.
#[derive(Clone)]
pub struct InboxParts {
    /// The database.
    pub store: Store,
    /// Who says which plugin hears which topic.
    pub catalog: Arc<dyn CatalogSource>,
    /// Who calls the plugins.
    pub executor: Arc<dyn TaskExecutor>,
    /// Who reads values for locators and for sagas' inputs.
    pub values: Arc<dyn ValueReader>,
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
        let actor = |flow| {
            // Only records on their way in are announced, and an announcement wakes one.
            let stored = if flow == Flow::In { parts.stored.clone() } else { Arc::default() };
            let parts = InboxParts { stored, ..parts.clone() };
            actor::Actor::new(flow, parts, options.clone()).run(stop.clone())
        };
        let actors = [Flow::In, Flow::HandleOut, Flow::DeadIn, Flow::DeadOut].map(actor);
        let task = tokio::spawn(async move {
            tokio::join!(cleaner, join_all(actors));
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
