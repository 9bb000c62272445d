//! The one task that owns what the host holds. It never waits: whatever takes time runs beside it and reports here.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    mem,
    sync::Arc,
    time::Duration,
};

use metrics::{counter, gauge, histogram};
use rand::random;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    time::{self, Instant, MissedTickBehavior},
};
use tracing::{error, warn};
use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    ids::{HostId, SagaId},
    journal::EntryKind,
    mail::Mail,
    outcome::{ErrorDetail, Failure},
    ports::{GuestTransaction, StepReport},
    state::{Activity, OpenStep},
};
use wasaga_store::{
    StoreError,
    commit::{Transition, Verdict},
};

use super::{
    EngineOptions, Parts, StartError,
    claims::{self, Claims, Loaded, Reach},
    committer::{self, Outcome},
    held::{Busy, Held},
    starts::{self, Start},
};
use crate::decide::{self, Decision, Finished, Now, decide};

/// Leases of this host that it does not hold in memory are looked for every so many sweeps.
const SWEEPS_PER_AUDIT: u32 = 10;

/// So many batches of starts may wait; who comes then is told so.
const STARTS_PER_BATCH: usize = 8;

/// What is reported to the actor.
pub(super) enum Event {
    Start(Start),
    Inserted(HostId, Vec<Held>),
    Claimed(HostId, Result<Claims, StoreError>),
    Reported { saga: SagaId, life: u64, step: u16, started_at: UnixMillis, report: StepReport },
    Committed(HostId, Vec<(Pending, Option<Outcome>)>),
    MailRead { saga: SagaId, life: u64, mail: Vec<Mail> },
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
    dues: BinaryHeap<Reverse<Instant>>,
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
            let due = self.dues.peek().map(|due| due.0);
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
                () = sagas.notified() => self.claim(Reach::Ready),
                () = due, if has_due => {
                    let now = Instant::now();
                    while self.dues.peek().is_some_and(|due| due.0 <= now) {
                        self.dues.pop();
                    }
                    self.claim(Reach::Due);
                }
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
                let StepReport { outcome, digest, transaction, .. } = report;
                let wrote = transaction.is_some();
                let finished = Finished { step, outcome, digest, started_at, wrote };
                if let Some(held) = self.held.get_mut(&saga).filter(|held| held.life == life) {
                    held.calling.remove(&step);
                    held.finished.push_back((finished, transaction));
                    self.go_on(saga);
                }
            }
            Event::Committed(host, outcomes) => {
                let guest = outcomes.first().is_some_and(|(pending, _)| pending.guest);
                let slots = if guest { &mut self.guests_committing } else { &mut self.committing };
                *slots -= 1;
                for (pending, outcome) in outcomes {
                    self.committed(host, pending, outcome);
                }
            }
            Event::MailRead { saga, life, mail } => self.mail_read(saga, life, mail),
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

    /// All leases ended, or are new: whatever is in memory is another's.
    fn lose_all(&mut self, host: Option<HostId>) {
        if !self.held.is_empty() {
            warn!(
                sagas = self.held.len(),
                "the host's lease has ended: its sagas are left to others"
            );
        }
        self.held.clear();
        self.queue.clear();
        self.strays.clear();
        self.host = host;
        self.claim(Reach::All);
    }

    /// Does the next thing for a saga that nothing is under way for, or that a guest was called for.
    fn go_on(&mut self, saga: SagaId) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        if held.busy != Busy::No {
            return;
        }
        if held.mail > held.state.mail_seen {
            held.busy = Busy::ReadingMail;
            self.read_mail(saga);
        } else if let Some((finished, transaction)) = held.finished.pop_front() {
            self.apply(saga, decide::Event::Finished(finished), transaction);
        } else if self.stopping.is_none() {
            self.call(saga);
        }
    }

    /// Calls the guests of all steps that are to run and are not running.
    fn call(&mut self, saga: SagaId) {
        let now = self.parts.clock.now();
        let Some(held) = self.held.get_mut(&saga) else { return };
        let due: Vec<_> = held
            .state
            .runnable()
            .filter(|open| !held.calling.contains(&open.step))
            .map(|open| (open.step, held.call(open, now)))
            .collect();
        for (step, call) in due {
            held.calling.insert(step);
            let (events, life) = (self.events.clone(), held.life);
            let report = Box::new(move |report| {
                // The actor is gone only when the host is.
                let _ = events.send(Event::Reported { saga, life, step, started_at: now, report });
            });
            self.parts.executor.run(call, report);
        }
    }

    /// Decides, and sends to the database what has to be committed before anything follows from it.
    fn apply(
        &mut self,
        saga: SagaId,
        event: decide::Event,
        transaction: Option<Box<dyn GuestTransaction>>,
    ) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        let at = self.parts.clock.now();
        let finished = match &event {
            decide::Event::Finished(finished) => Some(finished.clone()),
            _ => None,
        };
        let now = Now { at, chance: random() };
        let decision = match decide(&held.facts.definition, &held.state, event, now) {
            Ok(decision) => decision,
            Err(illegal) => {
                error!(%saga, %illegal, "an impossible event was dropped");
                self.go_on(saga);
                return;
            }
        };
        let idle = decision.entries.is_empty() && (!decision.settles() || !held.calling.is_empty());
        if idle {
            held.state = decision.state;
            self.go_on(saga);
            return;
        }
        let transition = held.transition(&decision, at);
        held.busy = Busy::Committing;
        let (life, guest) = (held.life, transaction.is_some());
        let Transition { settles, due, .. } = transition;
        let pending = Pending { saga, life, decision, finished, guest, settles, due };
        match transaction {
            None => self.queue.push((pending, transition)),
            Some(guest) => self.commit_guest(pending, transition, guest),
        }
    }

    fn committed(&mut self, host: HostId, pending: Pending, outcome: Option<Outcome>) {
        let Pending { saga, life, decision, finished, guest, settles, due } = pending;
        let current = self.host == Some(host);
        let Some(held) = self.held.get_mut(&saga).filter(|held| current && held.life == life)
        else {
            return;
        };
        held.busy = Busy::No;
        match outcome {
            Some(Outcome::Verdict(Verdict::Committed { mail })) => {
                count(held, &decision);
                if !decision.effects.is_empty() {
                    self.parts.outbox.notify_one();
                }
                held.committed(decision);
                // More may have been posted since, and told here before this.
                held.mail = held.mail.max(mail);
                if settles && mail == held.state.mail_seen {
                    let ended = held.state.status(false).is_final();
                    self.held.remove(&saga);
                    self.note_due(due);
                    if let Some(ends) = self.parts.ends.as_ref().filter(|_| ended) {
                        // Whoever wanted to know may be gone.
                        let _ = ends.send(saga);
                    }
                } else {
                    self.go_on(saga);
                }
            }
            Some(Outcome::Verdict(Verdict::Mail { mail })) => {
                held.mail = mail;
                // Without its guest's own SQL an attempt's end is worth nothing: the guest is called again.
                if let Some(finished) = finished.filter(|_| !guest) {
                    held.finished.push_front((finished, None));
                }
                self.go_on(saga);
            }
            Some(Outcome::Verdict(Verdict::Lost)) => {
                warn!(%saga, epoch = held.epoch, "a lost lease: the transition is dropped");
                counter!("wasaga_leases_lost_total").increment(1);
                let lease = (saga, held.epoch);
                self.held.remove(&saga);
                self.release(vec![lease]);
            }
            Some(Outcome::Refused(reason)) => self.refused(saga, finished, reason),
            None => self.go_on(saga),
        }
    }

    /// The database will never take what an attempt returned: the attempt failed.
    fn refused(&mut self, saga: SagaId, finished: Option<Finished>, reason: String) {
        warn!(%saga, reason, "a guest's data was refused: its attempt fails");
        let Some(held) = self.held.get(&saga) else { return };
        let Some(finished) = finished else {
            error!(%saga, "a transition without a guest's data was refused: left to the next claim");
            self.held.remove(&saga);
            return;
        };
        let why = ErrorDetail::new("bad-data", reason.replace('\0', "\u{fffd}"));
        // What was sent before a wait may have been done, whatever the guest made of the answer.
        let resumed = |open: &OpenStep| {
            open.step == finished.step && matches!(open.activity, Activity::Resume(_))
        };
        let outcome = Err(if held.state.open.iter().any(resumed) {
            Failure::Unknown(why)
        } else {
            Failure::Retryable { detail: why, after: None }
        });
        self.apply(saga, decide::Event::Finished(Finished { outcome, ..finished }), None);
    }

    fn mail_read(&mut self, saga: SagaId, life: u64, mail: Vec<Mail>) {
        let Some(held) = self.held.get_mut(&saga).filter(|held| held.life == life) else { return };
        held.busy = Busy::No;
        let last = mail.last().map_or(held.state.mail_seen, |last| last.number);
        held.mail = last.max(held.state.mail_seen);
        // An attempt that has ended counts as running: its end is decided next.
        let calling = !held.calling.is_empty() || !held.finished.is_empty();
        if mail.is_empty() {
            self.go_on(saga);
        } else {
            self.apply(saga, decide::Event::Mail { mail, calling }, None);
        }
    }

    fn read_mail(&mut self, saga: SagaId) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        held.busy = Busy::ReadingMail;
        let (life, seen) = (held.life, held.state.mail_seen);
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        tokio::spawn(async move {
            let mut pause = committer::Pause::default();
            let mail = loop {
                match store.mail_load(&[(saga, seen)]).await {
                    Ok(mut mail) => break mail.remove(&saga).unwrap_or_default(),
                    Err(error) => warn!(%saga, %error, "mail cannot be read: tried again"),
                }
                pause.wait().await;
            };
            let _ = events.send(Event::MailRead { saga, life, mail });
        });
    }

    fn claimed(&mut self, host: HostId, claims: Result<Claims, StoreError>) {
        self.claiming = false;
        match claims {
            Err(error) => warn!(%error, "no claims"),
            Ok(claims) if self.host == Some(host) => {
                for Loaded { held, interruptions, mail } in claims.loaded {
                    let saga = self.hold(held);
                    self.take_up(saga, interruptions, mail);
                }
                if claims.more {
                    self.claim_again = Some(Reach::All);
                }
            }
            Ok(_) => {}
        }
        if let Some(reach) = self.claim_again.take() {
            self.claim(reach);
        }
    }

    /// What a claimed saga has missed: mail, or time that passed, and then the interruptions of what follows.
    fn take_up(&mut self, saga: SagaId, interruptions: u16, mail: Vec<Mail>) {
        let Some(held) = self.held.get_mut(&saga) else { return };
        let now = Now { at: self.parts.clock.now(), chance: random() };
        let missed = if mail.is_empty() {
            decide::Event::Due
        } else {
            decide::Event::Mail { mail, calling: false }
        };
        match decide(&held.facts.definition, &held.state, missed.clone(), now) {
            Ok(decision) if decision.entries.is_empty() => held.state = decision.state,
            _ => return self.apply(saga, missed, None),
        }
        self.apply(saga, decide::Event::Claimed { interruptions }, None);
    }

    /// Sends what has gathered to the database, as far as committers are free.
    fn flush(&mut self) {
        let Some(host) = self.host else { return };
        while !self.starts.is_empty() && self.starting == 0 && self.held.len() < self.options.held {
            let rest = self.starts.split_off(self.starts.len().min(self.options.batch));
            let starts = mem::replace(&mut self.starts, rest);
            self.starting += 1;
            let (store, events) = (self.parts.store.clone(), self.events.clone());
            let now = self.parts.clock.now();
            tokio::spawn(async move {
                let new = starts::insert(&store, host, starts, now).await;
                let _ = events.send(Event::Inserted(host, new));
            });
        }
        while !self.queue.is_empty() && self.committing < self.options.committers {
            let next = self.queue.iter().map(|(_, transition)| transition);
            let rest = self.queue.split_off(committer::fitting(next.take(self.options.batch)));
            let (pending, transitions): (Vec<_>, Vec<_>) =
                mem::replace(&mut self.queue, rest).into_iter().unzip();
            histogram!("wasaga_commit_batch_size").record(transitions.len() as f64);
            self.committing += 1;
            let (store, events) = (self.parts.store.clone(), self.events.clone());
            tokio::spawn(async move {
                let outcomes = committer::commit(&store, host, transitions).await;
                let outcomes = pending.into_iter().zip(outcomes.into_iter().map(Some));
                let _ = events.send(Event::Committed(host, outcomes.collect()));
            });
        }
        gauge!("wasaga_sagas_held").set(self.held.len() as f64);
    }

    fn commit_guest(
        &mut self,
        pending: Pending,
        transition: Transition,
        guest: Box<dyn GuestTransaction>,
    ) {
        let Some(host) = self.host else { return };
        self.guests_committing += 1;
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        tokio::spawn(async move {
            let outcome = committer::commit_guest(&store, host, transition, guest).await;
            let _ = events.send(Event::Committed(host, vec![(pending, outcome)]));
        });
    }

    fn claim(&mut self, reach: Reach) {
        if self.claiming {
            self.claim_again = self.claim_again.max(Some(reach));
            return;
        }
        let room = self.options.held.saturating_sub(self.held.len()).min(self.options.batch);
        let Some(host) = self.host.filter(|_| self.stopping.is_none() && room > 0) else { return };
        self.claiming = true;
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        let definitions = Arc::clone(&self.parts.definitions);
        tokio::spawn(async move {
            let claims = claims::claim(&store, &*definitions, host, room, reach).await;
            let _ = events.send(Event::Claimed(host, claims));
        });
    }

    fn sweep(&mut self) {
        self.claim(Reach::All);
        self.sweeps += 1;
        if let Some(host) = self.host
            && self.sweeps.is_multiple_of(SWEEPS_PER_AUDIT)
        {
            let (store, events) = (self.parts.store.clone(), self.events.clone());
            tokio::spawn(async move {
                let leases = store.sagas_leased(host).await;
                let _ = events.send(Event::Leased(host, leases));
            });
        }
    }

    /// Leases that the database has and the memory has not, twice in a row, were lost on their way here (a claim or a
    /// start whose answer never came): they are released.
    fn audit(&mut self, host: HostId, leases: Result<Vec<(SagaId, i64)>, StoreError>) {
        let Ok(leases) = leases else { return };
        if self.host != Some(host) {
            return;
        }
        let strays: HashSet<_> = leases
            .into_iter()
            .filter(|(saga, epoch)| self.held.get(saga).is_none_or(|held| held.epoch != *epoch))
            .collect();
        let lost: Vec<_> = strays.intersection(&self.strays).copied().collect();
        if !lost.is_empty() {
            warn!(sagas = lost.len(), "leases without a saga in memory: released");
            self.release(lost);
        }
        self.strays = strays;
    }

    fn release(&self, leases: Vec<(SagaId, i64)>) {
        let Some(host) = self.host else { return };
        let store = self.parts.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.sagas_release(host, &leases).await {
                warn!(%error, "leases could not be released: the audit will");
            }
        });
    }

    /// Near dues get a wake-up of their own; the sweep finds the others.
    fn note_due(&mut self, due: Option<Duration>) {
        if let Some(due) = due.filter(|due| *due < 2 * self.options.sweep) {
            self.dues.push(Reverse(Instant::now() + due + Duration::from_millis(1)));
        }
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

    async fn release_all(&mut self) {
        let Some(host) = self.host else { return };
        let leases: Vec<_> = self.held.values().map(|held| (held.facts.id, held.epoch)).collect();
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.parts.store.sagas_release(host, &leases).await {
            warn!(%error, sagas = leases.len(), "leases could not be released: they end with the host's");
        }
    }
}

/// Counts what a committed decision tells.
fn count(held: &Held, decision: &Decision) {
    let definition = &held.facts.definition;
    for entry in &decision.entries {
        let name = match (entry.kind, entry.direction) {
            (EntryKind::Succeeded, Direction::Forward) => "step_completed_total",
            (EntryKind::Failed, Direction::Forward) => "step_failed_total",
            (EntryKind::Completed, _) => "saga_completed_total",
            (EntryKind::Compensated, _) => "saga_compensated_total",
            (EntryKind::SagaFailed, _) => "saga_failed_total",
            (EntryKind::NeedsAttention, _) => "saga_needs_attention_total",
            _ => continue,
        };
        let saga = definition.name.to_string();
        match entry.step.map(|step| definition.steps[usize::from(step)].name.to_string()) {
            None => counter!(name, "definition" => saga).increment(1),
            Some(step) => {
                counter!(name, "definition" => saga.clone(), "step" => step.clone()).increment(1);
                let took = entry.at.since(entry.started_at).as_secs_f64();
                histogram!("step_duration_seconds", "definition" => saga, "step" => step)
                    .record(took);
            }
        }
    }
}
