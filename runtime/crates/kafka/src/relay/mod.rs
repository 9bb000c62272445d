//! The relay: publishes the outbox. Of all hosts one leads, by the lease of the lane (`out`, 0); the others wait for it.
//!
//! Order: of one (topic, key) messages are published by id, and at most one is unacknowledged; a message that fails
//! holds its key. The next to publish are always read from the start of what waits, without a cursor: ids are taken before
//! their transaction commits, so that lower ones may appear later. Delivery is at least once: a record whose row could
//! not be marked is published again, with the same `message-id` header.

mod book;
mod jobs;
mod leader;
mod outcomes;
mod pace;
mod producer;
mod publish_first;
mod verdict;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use wasaga_domain::{ids::HostId, retry::RetryPolicy};
use wasaga_store::{
    Outbox, StoreError,
    lanes::{Flow, Lane},
};

use crate::{BrokerHealth, ClientOptions, ConfigError, oauth::Tokens};
use leader::{End, Leader};
pub use publish_first::{Publisher, PublisherOptions};

/// How the relay works. The defaults fit.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// How long the host's lease is: no record is tried for longer at a time.
    pub lease: Duration,
    /// How often an idle relay looks for messages nobody told it of.
    pub sweep: Duration,
    /// Between two reads at least: what many commits add is read at once.
    pub pace: Duration,
    /// Messages a read.
    pub batch: usize,
    /// Messages in hand at most.
    pub max_messages: usize,
    /// Bytes in hand at most, roughly.
    pub max_bytes: usize,
    /// How long a key rests whose message failed, or a topic that refuses its messages (unknown topic, missing right);
    /// and after how many refusals a message is given up that has no maximum of its own. Without jitter: one relay alone
    /// publishes.
    pub retry: RetryPolicy,
    /// How long published messages are kept.
    pub retention: Duration,
    /// How long a stop waits for what the broker has not acknowledged.
    pub stop_within: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            sweep: Duration::from_millis(500),
            pace: Duration::from_millis(5),
            batch: 2_000,
            max_messages: 10_000,
            max_bytes: 64 << 20,
            retry: RetryPolicy::Exponential {
                initial_ms: 100,
                multiplier: 2.0,
                max_delay_ms: 10_000,
                max_attempts: Some(10),
                jitter: 0.0,
            },
            retention: Duration::from_hours(1),
            stop_within: Duration::from_secs(8),
        }
    }
}

impl RelayOptions {
    /// What is wrong with a policy for [`Self::retry`], if anything is.
    pub fn retry_fault(retry: &RetryPolicy) -> Option<&'static str> {
        match retry {
            RetryPolicy::Exponential { jitter, .. } if *jitter > 0.0 => {
                Some("jitter must be 0: one relay alone publishes, and meets no others")
            }
            RetryPolicy::Never {} => {
                Some("never tells no rest: write { fixed = { delay_ms = 1000, max_attempts = 1 } }")
            }
            RetryPolicy::Fixed { delay_ms: 0, .. } => Some("delay_ms must be at least 1"),
            RetryPolicy::Exponential { initial_ms: 0, .. } => Some("initial_ms must be at least 1"),
            RetryPolicy::Exponential { max_delay_ms: 0, .. } => {
                Some("max_delay_ms must be at least 1")
            }
            _ => retry.fault(),
        }
    }
}

/// Publishes the outbox.
pub struct Relay {
    store: Arc<dyn Outbox>,
    config: rdkafka::ClientConfig,
    tokens: Option<Tokens>,
    options: RelayOptions,
    host: watch::Receiver<Option<HostId>>,
    wake: Arc<Notify>,
    health: BrokerHealth,
    stop: CancellationToken,
}

/// A running relay.
#[derive(Debug)]
pub struct RelayHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
    within: Duration,
}

impl Relay {
    /// Starts a relay; the broker and the database may be away. `host` tells the host's id while it has its lease; `wake`
    /// is notified after each commit that added messages. Refused only for options that can't be had.
    pub fn start(
        store: impl Into<Arc<dyn Outbox>>,
        client: &ClientOptions,
        options: RelayOptions,
        host: watch::Receiver<Option<HostId>>,
        wake: Arc<Notify>,
        health: BrokerHealth,
    ) -> Result<RelayHandle, ConfigError> {
        if let Some(fault) = RelayOptions::retry_fault(&options.retry) {
            return Err(ConfigError::Retry(fault));
        }
        let config = client.producer(options.lease)?;
        let stop = CancellationToken::new();
        let within = options.stop_within;
        let (store, tokens) = (store.into(), client.tokens());
        let relay = Self { store, config, tokens, options, host, wake, health, stop: stop.clone() };
        Ok(RelayHandle { stop, task: tokio::spawn(relay.run()), within })
    }

    async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let host = *self.host.borrow_and_update();
            let led = match host {
                Some(host) => self.try_lead(host).await,
                None => Ok(false),
            };
            match led {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "relay: the lane can't be taken"),
            }
            // Another leads, or the host has no lease.
            tokio::select! {
                () = self.stop.cancelled() => {}
                changed = self.host.changed() => if changed.is_err() { return },
                () = sleep(self.options.sweep.max(Duration::from_millis(100))) => {}
            }
        }
    }

    /// Leads for as long as the lane is held; false where another has it.
    async fn try_lead(&mut self, host: HostId) -> Result<bool, StoreError> {
        let mut taken = self.store.lanes_take(host, Flow::Out, 1).await?;
        if taken.is_empty() {
            // Left over from a take whose answer was lost.
            taken = self.store.lanes_of(host, Flow::Out).await?;
        }
        let Some(&lane) = taken.first() else {
            return Ok(false);
        };
        tracing::info!(%host, epoch = lane.epoch, "relay: leads");
        let end = self.lead(host, lane).await;
        tracing::info!(%host, epoch = lane.epoch, ?end, "relay: leads no more");
        if end != End::Lost {
            self.store.lanes_release(host, Flow::Out, &[lane.number]).await?;
        }
        Ok(end != End::NoProducer)
    }

    async fn lead(&mut self, host: HostId, lane: Lane) -> End {
        match Leader::new(self, host, lane) {
            Ok(leader) => leader.run().await,
            Err(error) => {
                tracing::error!(%error, "relay: no producer");
                End::NoProducer
            }
        }
    }
}

impl RelayHandle {
    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Takes nothing more, waits until the broker has what was handed to it, marks it and gives the lane back. Ends in
    /// bounded time: what was not marked is published again by the next leader.
    pub async fn stop(self) {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        if timeout(self.within + Duration::from_secs(2), self.task).await.is_err() {
            tracing::warn!("relay: stopped before all was marked");
            abort.abort();
        }
    }
}
