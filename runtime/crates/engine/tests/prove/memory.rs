//! The store in memory: what the one on Postgres is held against.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::Definition,
    ids::{HostId, SagaId},
    journal::EntryKind,
    mail::{Mail, MailContent, Verb},
    message::Message,
    outcome::{ChildEnd, Effect, ErrorDetail},
    payload::Payload,
    start::NewSaga,
    state::{Course, State, Status},
};
use wasaga_engine::{
    decide::Event,
    driver::claims::{Loaded, held},
};
use wasaga_store::{
    commit::{JournalEntry, Position, Transition, Verdict},
    saga_claim::{Claimed, LedgerRow},
};

use crate::store::{ChildRow, Row, Start, Store};

pub struct Memory {
    definition: Arc<Definition>,
    saga: NewSaga,
    now: UnixMillis,
    /// Those that live.
    hosts: BTreeSet<HostId>,
    last_host: i64,
    holder: Option<HostId>,
    ready: bool,
    epoch: i64,
    interruptions: u16,
    status: Status,
    state: State,
    sequence: i32,
    due: Option<UnixMillis>,
    waits: BTreeMap<String, u16>,
    early: BTreeMap<String, VecDeque<String>>,
    children: BTreeMap<SagaId, Child>,
    pub mail: Vec<Mail>,
    pub journal: Vec<JournalEntry>,
    /// The idempotency keys of the messages in the outbox.
    pub sent: Vec<String>,
    pub notes: Vec<String>,
}

struct Child {
    mail: i64,
    end: Option<ChildEnd>,
}

/// What the children's only step returns.
pub fn child_output() -> Payload {
    Payload::json("1")
}

impl Memory {
    pub fn new(definition: Arc<Definition>, saga: NewSaga, now: UnixMillis) -> Self {
        Self {
            definition,
            now,
            hosts: BTreeSet::new(),
            last_host: 0,
            holder: None,
            ready: false,
            epoch: 0,
            interruptions: 0,
            status: Status::Pending,
            state: saga.state.clone(),
            saga,
            sequence: 0,
            due: None,
            waits: BTreeMap::new(),
            early: BTreeMap::new(),
            children: BTreeMap::new(),
            mail: Vec::new(),
            journal: Vec::new(),
            sent: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub fn row(&self) -> Row {
        let child = |(id, child): (&SagaId, &Child)| {
            (*id, ChildRow { mail: child.mail, ended: child.end.is_some() })
        };
        Row {
            host: self.holder.map(|host| host.0),
            ready: self.ready,
            epoch: self.epoch,
            sequence: self.sequence,
            interruptions: self.interruptions,
            status: self.status.as_str().to_owned(),
            state: self.state.clone(),
            mail: self.mail_number(),
            due: self.due.map(|due| due.0 - self.now.0),
            waits: self.waits.clone(),
            early: self.early.iter().map(|(key, kept)| (key.clone(), kept.len())).collect(),
            journal: self.journal.len(),
            sent: self.sent.len(),
            notes: self.notes.len(),
            children: self.children.iter().map(child).collect(),
        }
    }

    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn status(&self) -> Status {
        self.status
    }

    pub fn sequence(&self) -> i32 {
        self.sequence
    }

    pub fn interruptions(&self) -> u16 {
        self.interruptions
    }

    pub fn mail_number(&self) -> i64 {
        self.mail.len() as i64
    }

    /// Whether this is the lease that holds the saga.
    pub fn holds(&self, host: HostId, epoch: i64) -> bool {
        self.holder == Some(host) && self.epoch == epoch
    }

    pub fn lives(&self, host: HostId) -> bool {
        self.hosts.contains(&host)
    }

    pub fn is_free(&self) -> bool {
        self.holder.is_none()
    }

    /// Whether a claim would find it.
    pub fn is_claimable(&self) -> bool {
        match self.holder {
            Some(holder) => !self.hosts.contains(&holder),
            None => self.ready || self.is_due(),
        }
    }

    pub fn due(&self) -> Option<UnixMillis> {
        self.due
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= self.now)
    }

    pub fn waits(&self) -> &BTreeMap<String, u16> {
        &self.waits
    }

    /// Those that have not ended.
    pub fn running_children(&self) -> impl Iterator<Item = SagaId> {
        self.children.iter().filter(|(_, child)| child.end.is_none()).map(|(id, _)| *id)
    }

    pub fn admit(&mut self, host: HostId) {
        self.hosts.insert(host);
    }

    fn piece(&mut self, content: MailContent) {
        let number = self.mail_number() + 1;
        self.mail.push(Mail { number, content });
    }

    /// Mail wakes a saga that nobody holds, and does not reach one that has ended.
    fn wake(&mut self, content: MailContent) -> bool {
        if self.status.is_final() {
            return false;
        }
        self.piece(content);
        self.ready |= self.holder.is_none();
        true
    }

    fn reply(&self, step: u16, correlation: &str, value: String) -> MailContent {
        let (topic, value) = (topic(self.saga.id), Some(value.into()));
        let message = Message { topic, key: None, headers: Vec::new(), value };
        MailContent::Reply { step, correlation: correlation.to_owned(), message }
    }

    /// Whether a wait was met by a message that came before it.
    fn register(&mut self, next: &Transition) -> bool {
        let mut waits: Vec<_> = next.waits.iter().collect();
        waits.sort_by_key(|wait| &wait.correlation);
        let mut met = false;
        for wait in waits {
            let Some(kept) = self.early.get_mut(&wait.correlation) else {
                self.waits.insert(wait.correlation.clone(), wait.step);
                continue;
            };
            if std::mem::replace(&mut met, true) {
                continue;
            }
            let value = kept.pop_front().expect("no key is kept without a message");
            if kept.is_empty() {
                self.early.remove(&wait.correlation);
            }
            self.piece(self.reply(wait.step, &wait.correlation, value));
        }
        if met {
            self.waits.clear();
        }
        met
    }

    fn start_child(&mut self, child: SagaId) {
        let child = self.children.entry(child).or_insert(Child { mail: 0, end: None });
        if let Some(end) = child.end.clone() {
            self.wake(MailContent::Child(end));
        }
    }

    fn cancel_child(&mut self, child: SagaId) {
        if let Some(child) = self.children.get_mut(&child).filter(|child| child.end.is_none()) {
            child.mail += 1;
        }
    }

    fn ledger(&self) -> Vec<LedgerRow> {
        let kept = [EntryKind::Succeeded, EntryKind::Waiting, EntryKind::UndoSupplied];
        let row = |JournalEntry { step, entry }: &JournalEntry| {
            Some(LedgerRow {
                saga: self.saga.id,
                kind: Some(entry.kind).filter(|kind| kept.contains(kind))?,
                step: step.clone()?,
                forward: entry.direction == Direction::Forward,
                output: entry.output.clone(),
                undo: entry.undo.clone(),
                memo: entry.memo.clone(),
                digest: entry.digest,
            })
        };
        self.journal.iter().filter_map(row).collect()
    }
}

/// The topic of all messages that a saga's steps wait for.
pub fn topic(saga: SagaId) -> String {
    format!("replies-{saga}")
}

impl Store for Memory {
    async fn host(&mut self) -> HostId {
        self.last_host += 1;
        self.admit(HostId(self.last_host));
        HostId(self.last_host)
    }

    async fn host_dies(&mut self, host: HostId) {
        self.hosts.remove(&host);
    }

    async fn start(&mut self, _: &NewSaga, start: Start) {
        match start {
            Start::Leased(host) => (self.holder, self.epoch) = (Some(host), 1),
            Start::Unopened => {
                self.ready = true;
                self.state.open.clear();
                (self.state.course, self.state.deadline) = (Course::Unopened, None);
            }
        }
    }

    async fn claim(&mut self, host: HostId) -> Option<Loaded> {
        if !self.hosts.contains(&host) || !self.is_claimable() {
            return None;
        }
        self.interruptions += u16::from(self.holder.is_some());
        (self.holder, self.ready) = (Some(host), false);
        self.epoch += 1;
        let claimed = Claimed {
            id: self.saga.id,
            definition: self.saga.definition.clone(),
            version: self.saga.version,
            business_key: self.saga.business_key.clone(),
            nonce: self.saga.nonce,
            traceparent: self.saga.traceparent.clone(),
            input: self.saga.input.clone(),
            child: false,
            epoch: self.epoch,
            sequence: self.sequence,
            interruptions: self.interruptions,
            mail: self.mail_number(),
            state: self.state.clone(),
        };
        let mail = self.mail(self.state.mail_seen).await;
        let mail = (!mail.is_empty()).then_some(Event::Mail(mail));
        let held = held(claimed, Arc::clone(&self.definition), self.ledger());
        Some(Loaded { held, interruptions: self.interruptions, mail })
    }

    async fn release(&mut self, host: HostId, epoch: i64) {
        if self.holds(host, epoch) {
            (self.holder, self.ready, self.interruptions) = (None, true, 0);
        }
    }

    async fn commit(&mut self, host: HostId, next: &Transition, note: Option<&str>) -> Verdict {
        if !self.holds(host, next.epoch) || self.sequence != next.sequence {
            return Verdict::Lost;
        }
        let mut mail = self.mail_number();
        if next.settles && mail != next.seen {
            return Verdict::Mail { mail };
        }
        (self.sequence, self.status, self.interruptions) = (next.next_sequence(), next.status, 0);
        self.state =
            serde_json::from_str(next.state.get()).expect("a state is read as it was written");
        if next.settles {
            self.holder = None;
        }
        self.journal.extend(next.entries.iter().cloned());
        if next.clears {
            self.due = None;
            self.waits.clear();
        }
        let sent = next.effects.iter().filter(|keyed| keyed.effect.is_message());
        self.sent.extend(sent.map(|keyed| keyed.idempotency_key.clone()));
        self.notes.extend(note.map(str::to_owned));
        if self.register(next) {
            // Whoever was met keeps the saga.
            self.holder = Some(host);
            mail += 1;
        } else if let Some(due) = next.due {
            self.due = Some(self.now.after(due));
        }
        let effects = next.effects.iter().map(|keyed| &keyed.effect);
        for effect in effects.clone() {
            if let Effect::Start(start) = effect {
                self.start_child(start.saga.id);
            }
        }
        for effect in effects {
            if let Effect::Signal { name, payload, .. } = effect {
                let (name, payload) = (name.clone(), payload.clone());
                self.wake(MailContent::Signal { name, payload });
            }
        }
        next.cancels.iter().for_each(|child| self.cancel_child(*child));
        Verdict::Committed { mail }
    }

    async fn position(&mut self) -> Position {
        Position {
            host: self.holder,
            epoch: self.epoch,
            sequence: self.sequence,
            mail: self.mail_number(),
        }
    }

    async fn mail(&mut self, seen: i64) -> Vec<Mail> {
        self.mail.iter().filter(|mail| mail.number > seen).cloned().collect()
    }

    async fn post(&mut self, content: &MailContent) -> bool {
        let turns_back = matches!(content, MailContent::Verb { verb: Verb::Cancel, .. });
        // A cancel past the pivot is refused at once, as far as that is committed.
        !(turns_back && self.state.pivoted) && self.wake(content.clone())
    }

    async fn deliver(&mut self, correlation: &str, value: &str) {
        match self.waits.remove(correlation) {
            Some(step) => {
                self.wake(self.reply(step, correlation, value.to_owned()));
            }
            None => {
                self.early.entry(correlation.to_owned()).or_default().push_back(value.to_owned());
            }
        }
    }

    async fn child_ends(&mut self, child: SagaId, error: Option<&ErrorDetail>) {
        let status = if error.is_some() { Status::Compensated } else { Status::Completed };
        let output = error.is_none().then(child_output);
        let end = ChildEnd { saga: child, status, output, error: error.cloned() };
        let ended = self.children.get_mut(&child).expect("it was started");
        ended.end = Some(end.clone());
        self.wake(MailContent::Child(end));
    }

    async fn time_passes(&mut self, by: Duration) {
        self.now = self.now.after(by);
    }

    async fn check(&mut self) {}

    fn memory(&self) -> &Memory {
        self
    }
}
