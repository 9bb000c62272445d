//! The one task that owns what the host holds. It never waits: whatever takes time runs beside it and reports here.

mod commits;
mod leases;
mod turns;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use metrics::counter;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    time::{self, Instant, MissedTickBehavior},
};
use wasaga_domain::{
    clock::UnixMillis,
    ids::{HostId, SagaId},
    ports::StepReport,
};
use wasaga_store::{StoreError, commit::Transition};

use super::{
    EngineOptions, Parts, StartError,
    claims::{Claims, Reach},
    committer::Outcome,
    held::{Busy, Held},
    starts::Start,
};
use crate::decide::{self, Decision, Finished};

/// So many batches of starts may wait; who comes then is told so.
const STARTS_PER_BATCH: usize = 8;

/// What is reported to the actor.
pub(super) enum Event {
    Start(Start),
    Inserted(HostId, Vec<Held>),
    Claimed(HostId, Result<Claims, StoreError>),
    Reported { saga: SagaId, life: u64, step: u16, started_at: UnixMillis, report: StepReport },
    Committed(HostId, Vec<(Pending, Option<Outcome>)>),
    Mailed(HostId, Result<Vec<(SagaId, i64)>, StoreError>),
    MailRead { saga: SagaId, life: u64, last: Option<i64>, event: Option<decide::Event> },
    Posted(SagaId),
    Leased(HostId, Result<Vec<(SagaId, i64)>, StoreError>),
    Stop,
}

/// A decision on its way to the database.
pub(super) struct Pending {
    saga: SagaId,
    life: u64,
    decision: Decision,
    /// The end of the attempt that led to it, should it have to be decided again.
    finished: Option<Finished>,
    /// Whether a guest's own SQL went with it.
    guest: bool,
    /// Whether the saga parks or ends by it.
    settles: bool,
    /// When it wants to go on by itself, from the commit.
    due: Option<Duration>,
}

pub(super) struct Actor {
    parts: Parts,
    options: EngineOptions,
    events: UnboundedSender<Event>,
    host: Option<HostId>,
    held: HashMap<SagaId, Held>,
    lives: u64,
    starts: Vec<Start>,
    starting: usize,
    queue: Vec<(Pending, Transition)>,
    committing: usize,
    guests_committing: usize,
    claiming: bool,
    claim_again: Option<Reach>,
    /// When to look for sagas whose time has come: in the database, or at one that is held.
    dues: BinaryHeap<Reverse<(Instant, Option<SagaId>)>>,
    sweeps: u32,
    /// Leases that were not in memory at the last audit.
    strays: HashSet<(SagaId, i64)>,
    stopping: Option<Instant>,
}

impl Actor {
    pub fn new(parts: Parts, options: EngineOptions, events: UnboundedSender<Event>) -> Self {
        Self {
            host: None,
            parts,
            options,
            events,
            held: HashMap::new(),
            lives: 0,
            starts: Vec::new(),
            starting: 0,
            queue: Vec::new(),
            committing: 0,
            guests_committing: 0,
            claiming: false,
            claim_again: None,
            dues: BinaryHeap::new(),
            sweeps: 0,
            strays: HashSet::new(),
            stopping: None,
        }
    }

    pub async fn run(mut self, mut receiver: UnboundedReceiver<Event>) {
        let mut host = self.parts.host.clone();
        self.host = *host.borrow_and_update();
        let sagas = Arc::clone(&self.parts.sagas);
        let mut sweep = time::interval(self.options.sweep);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = Vec::new();
        loop {
            let due = self.dues.peek().map(|due| due.0.0);
            let due = async { time::sleep_until(due.unwrap_or_else(Instant::now)).await };
            let has_due = !self.dues.is_empty() && self.stopping.is_none();
            tokio::select! {
                _ = receiver.recv_many(&mut events, 1024) => {}
                changed = host.changed() => {
                    self.lose_all(if changed.is_ok() { *host.borrow_and_update() } else { None });
                    if changed.is_err() {
                        break;
                    }
                }
                () = sagas.notified() => {
                    self.claim(Reach::Ready);
                    self.look_for_mail(Held::waits);
                }
                () = due, if has_due => self.due(),
                _ = sweep.tick() => self.sweep(),
            }
            for event in events.drain(..) {
                self.handle(event);
            }
            self.flush();
            if self.is_stopped() {
                break;
            }
        }
        self.release_all().await;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Start(start) => self.take_start(start),
            Event::Inserted(host, new) => {
                self.starting -= 1;
                for held in new {
                    counter!("saga_started_total", "definition" => held.facts.definition.name.to_string())
                        .increment(1);
                    if self.host == Some(host) {
                        let saga = self.hold(held);
                        self.go_on(saga);
                    }
                }
            }
            Event::Claimed(host, claims) => self.claimed(host, claims),
            Event::Reported { saga, life, step, started_at, report } => {
                self.reported(saga, life, step, started_at, report);
            }
            Event::Committed(host, outcomes) => {
                let guest = outcomes.first().is_some_and(|(pending, _)| pending.guest);
                let slots = if guest { &mut self.guests_committing } else { &mut self.committing };
                *slots -= 1;
                for (pending, outcome) in outcomes {
                    self.committed(host, pending, outcome);
                }
            }
            Event::Mailed(host, mail) => self.mailed(host, mail),
            Event::MailRead { saga, life, last, event } => self.mail_read(saga, life, last, event),
            Event::Posted(saga) => {
                if let Some(held) = self.held.get_mut(&saga) {
                    held.mail = held.mail.max(held.state.mail_seen + 1);
                    self.go_on(saga);
                }
            }
            Event::Leased(host, leases) => self.audit(host, leases),
            Event::Stop => {
                self.stopping = Some(Instant::now() + self.options.grace);
                for start in self.starts.drain(..) {
                    let stopping = StartError::Unavailable("the host is stopping".into());
                    let _ = start.answer.send(Err(stopping));
                }
            }
        }
    }

    fn take_start(&mut self, start: Start) {
        let refusal = match (self.stopping, self.host) {
            (Some(_), _) => "the host is stopping",
            (None, None) => "this host has lost its lease, and is about to register again",
            (None, Some(_)) if self.starts.len() >= STARTS_PER_BATCH * self.options.batch => {
                "too many sagas are being started here: try again"
            }
            (None, Some(_)) => {
                self.starts.push(start);
                return;
            }
        };
        let _ = start.answer.send(Err(StartError::Unavailable(refusal.into())));
    }

    fn hold(&mut self, mut held: Held) -> SagaId {
        self.lives += 1;
        held.life = self.lives;
        let saga = held.facts.id;
        self.held.insert(saga, held);
        saga
    }

    fn is_stopped(&self) -> bool {
        self.stopping.is_some_and(|end| {
            let under_way = self.committing
                + self.guests_committing
                + self.starting
                + usize::from(self.claiming);
            (under_way == 0
                && self.held.values().all(|held| held.calling.is_empty() && held.busy == Busy::No))
                || Instant::now() >= end
        })
    }
}
