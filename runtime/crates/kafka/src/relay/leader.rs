//! The relay while it leads: read, publish, mark, all at the same time.

use std::{collections::HashSet, sync::Arc, time::Duration};

use rdkafka::error::KafkaError;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wasaga_domain::ids::HostId;
use wasaga_store::{Outbox, lanes::Lane, task_out_floor::Floor};

use super::{
    Relay, RelayOptions,
    book::Book,
    jobs::Job,
    pace::Pace,
    producer::{Producer, Report, Sent},
};
use crate::{BrokerHealth, oauth::Tokens};

/// Marks that run at a time.
const MARKS: usize = 2;
const FULL_QUEUE: Duration = Duration::from_millis(5);

/// Why a leader leads no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The host is stopped.
    Stopped,
    /// The lane, or the host's lease, was lost.
    Lost,
    /// There is no producer to be had.
    NoProducer,
}

pub(super) struct Leader<'a> {
    pub(super) store: Arc<dyn Outbox>,
    config: &'a rdkafka::ClientConfig,
    tokens: Option<&'a Tokens>,
    pub(super) options: &'a RelayOptions,
    changes: &'a mut watch::Receiver<Option<HostId>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
    health: &'a BrokerHealth,
    pub(super) host: HostId,
    pub(super) lane: Lane,
    pub(super) book: Book,
    producer: Producer,
    pub(super) jobs: JoinSet<Job>,
    /// Refused messages of which a job decides now.
    pub(super) deciding: HashSet<i64>,
    pub(super) producer_broken: bool,
    pub(super) reading: bool,
    pub(super) read_limit: usize,
    pub(super) last_read: Instant,
    pub(super) next_read: Instant,
    pub(super) floor: Floor,
    /// When the floor is looked at next; none until a read brings something.
    pub(super) next_floor: Option<Instant>,
    pub(super) next_bottom: Instant,
    pub(super) pace: Pace,
    pub(super) marks: usize,
    pub(super) next_mark: Instant,
    next_send: Instant,
    pub(super) next_backlog: Instant,
    /// None while old messages are being deleted.
    pub(super) next_forget: Option<Instant>,
    /// When it was told last that the outbox is behind; none: it is not.
    pub(super) behind_told: Option<Instant>,
}

impl<'a> Leader<'a> {
    pub(super) fn new(relay: &'a mut Relay, host: HostId, lane: Lane) -> Result<Self, KafkaError> {
        let now = Instant::now();
        Ok(Self {
            store: relay.store.clone(),
            producer: Producer::new(&relay.config, relay.tokens.as_ref(), &relay.health)?,
            config: &relay.config,
            tokens: relay.tokens.as_ref(),
            options: &relay.options,
            changes: &mut relay.host,
            wake: relay.wake.clone(),
            stop: relay.stop.clone(),
            health: &relay.health,
            host,
            lane,
            book: Book::new(&relay.options.retry),
            jobs: JoinSet::new(),
            deciding: HashSet::new(),
            producer_broken: false,
            reading: false,
            read_limit: 0,
            last_read: now,
            next_read: now,
            floor: Floor::default(),
            next_floor: Some(now),
            next_bottom: now,
            pace: Pace::new(now, relay.options.sweep),
            marks: 0,
            next_mark: now,
            next_send: now,
            next_backlog: now,
            next_forget: Some(now),
            behind_told: None,
        })
    }

    pub(super) async fn run(mut self) -> End {
        let end = self.work().await;
        metrics::gauge!("wasaga_outbox_unpublished").set(0.0);
        metrics::gauge!("wasaga_outbox_oldest_seconds").set(0.0);
        end
    }

    async fn work(&mut self) -> End {
        let (wake, stop) = (self.wake.clone(), self.stop.clone());
        let mut give_up_at = None;
        let mut reports: Vec<Report> = Vec::new();
        loop {
            let stopping = give_up_at.is_some();
            self.publish();
            self.start_mark();
            if !stopping {
                self.start_read();
                self.start_chores();
            } else if self.done() || give_up_at.is_some_and(|at| at <= Instant::now()) {
                return End::Stopped;
            }
            let tick = give_up_at.unwrap_or(self.next_tick()).min(self.next_tick());
            tokio::select! {
                () = self.producer.reports(&mut reports) => self.take_reports(&mut reports),
                Some(job) = self.jobs.join_next() => match job {
                    Ok(job) => if !self.take(job) { return End::Lost },
                    // Only a fault of this program ends a job so: what it knew is read again by the next leader.
                    Err(error) => {
                        tracing::error!(%error, "relay: a job failed");
                        return End::NoProducer;
                    }
                },
                () = wake.notified(), if !stopping => {
                    self.pace.came(Instant::now());
                    self.next_read = self.next_read.min(self.last_read + self.options.pace);
                }
                () = sleep_until(tick) => {}
                changed = self.changes.changed() => {
                    if changed.is_err() || *self.changes.borrow() != Some(self.host) {
                        return End::Lost;
                    }
                }
                () = stop.cancelled(), if !stopping => {
                    give_up_at = Some(Instant::now() + self.options.stop_within);
                }
            }
            if self.producer_broken && !self.replace_producer() {
                return End::NoProducer;
            }
        }
    }

    /// Nothing is under way.
    fn done(&self) -> bool {
        self.book.sending() == 0 && self.book.published() == 0 && self.marks == 0
    }

    fn publish(&mut self) {
        if self.stop.is_cancelled() || self.next_send > Instant::now() {
            return;
        }
        while let Some(row) = self.book.next() {
            match self.producer.send(&row) {
                Sent::Yes => self.book.sent(row),
                Sent::Full => {
                    self.book.put_back(row);
                    self.next_send = Instant::now() + FULL_QUEUE;
                    return;
                }
                Sent::No(failure) => {
                    let id = row.id;
                    self.book.sent(row);
                    self.take_failure(id, failure);
                }
            }
        }
    }

    fn replace_producer(&mut self) -> bool {
        tracing::warn!("relay: the producer is at its end and is replaced");
        self.producer_broken = false;
        match Producer::new(self.config, self.tokens, self.health) {
            Ok(producer) => {
                self.producer = producer;
                self.book.producer_lost(&self.deciding, Instant::now().into_std());
                true
            }
            Err(error) => {
                tracing::error!(%error, "relay: no producer");
                false
            }
        }
    }

    pub(super) fn room(&self) -> usize {
        if self.book.bytes() >= self.options.max_bytes {
            return 0;
        }
        self.options.max_messages.saturating_sub(self.book.len()).min(self.options.batch)
    }

    /// Worth a read: not for a few rows at a time while the broker is the limit.
    pub(super) fn may_read(&self) -> bool {
        !self.reading && self.room() >= self.options.batch.min(self.options.max_messages) / 4
    }

    pub(super) fn may_mark(&self) -> bool {
        self.book.published() > 0 && self.marks < MARKS
    }

    fn next_tick(&self) -> Instant {
        let mut tick = Instant::now() + Duration::from_secs(1);
        if self.may_read() {
            tick = tick.min(self.next_read);
        }
        if self.may_mark() {
            tick = tick.min(self.next_mark);
        }
        if self.next_send > Instant::now() {
            tick = tick.min(self.next_send);
        }
        tick
    }
}
