//! One saga on a store and a driver in memory. The store changes only when a decision is committed; chance lets the host
//! die at any write, mail arrive at any moment, and guests answer whatever they may.

use std::collections::BTreeMap;

use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::Definition,
    journal::{Entry, EntryKind},
    mail::{Mail, MailContent, Verb},
    outcome::{Arrival, StepOutcome, Wait, WaitSource},
    state::{Activity, State},
};
use wasaga_engine::decide::{Decision, Event, Finished, Now, decide};

use crate::{
    build::{
        Outcome, command, done, permanent, rejected, reply_message, retryable, source, unavailable,
        unknown, verb,
    },
    world::{Called, World},
};

/// What chance decides, in turn; 0, the harmless choice, when it has run out.
pub struct Choices {
    bytes: std::vec::IntoIter<u8>,
}

impl Choices {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into_iter() }
    }

    /// One of `0..n`.
    fn of(&mut self, n: usize) -> usize {
        usize::from(self.bytes.next().unwrap_or(0)) % n
    }

    /// One time in `n`, and never when chance has run out.
    fn rarely(&mut self, n: usize) -> bool {
        self.of(n) == n - 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lease {
    Free { ready: bool },
    Held,
    Lost,
}

/// What is durable.
struct Database {
    state: State,
    journal: Vec<Entry>,
    mail: Vec<Mail>,
    lease: Lease,
    interruptions: u16,
    due: Option<UnixMillis>,
    waits: BTreeMap<String, u16>,
    early: BTreeMap<String, usize>,
}

/// An attempt that has ended, and what it was called for.
type Ended = (Finished, Called);

/// What a host knows.
struct Memory {
    state: State,
    calling: Option<(u16, Called)>,
    ended: Option<Ended>,
}

impl Memory {
    /// Whether an attempt's end is still to come, or to be decided.
    fn is_under_way(&self) -> bool {
        self.calling.is_some() || self.ended.is_some()
    }
}

pub struct Simulation {
    definition: Definition,
    choices: Choices,
    database: Database,
    memory: Option<Memory>,
    world: World,
    now: UnixMillis,
    /// How often which thing happened: a simulation in which nothing happens proves nothing.
    pub seen: BTreeMap<&'static str, u32>,
}

/// Whatever chance does, a saga ends within so many turns after it has run out.
const TURNS: usize = 5_000;

impl Simulation {
    pub fn new(definition: Definition, choices: Choices) -> Self {
        let now = UnixMillis(1_000_000);
        let state = State::initial(&definition, now);
        Self {
            world: World::new(&definition),
            definition,
            choices,
            now,
            database: Database {
                state: state.clone(),
                journal: Vec::new(),
                mail: Vec::new(),
                lease: Lease::Held,
                interruptions: 0,
                due: None,
                waits: BTreeMap::new(),
                early: BTreeMap::new(),
            },
            memory: Some(Memory { state, calling: None, ended: None }),
            seen: BTreeMap::new(),
        }
    }

    /// Runs the saga to its end; answers with the end's status.
    pub fn run(&mut self) -> &'static str {
        for _ in 0..TURNS {
            let status = self.database.state.status(false);
            if status.is_final() {
                self.world.check_end(status.as_str());
                self.check_mail();
                return status.as_str();
            }
            self.outside();
            match self.memory {
                None => self.wake(),
                Some(_) => self.drive(),
            }
        }
        panic!("no end: {:?}", self.database.state);
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Replies, asked for or not, and operators.
    fn outside(&mut self) {
        match self.choices.of(16) {
            13 => {
                let step = self.choices.of(self.definition.steps.len());
                let undo = self.choices.of(2) == 1;
                self.deliver(correlation(step as u16, undo));
            }
            14 => self.post(verb(Verb::Cancel)),
            15 => self.post(verb(Verb::Resume)),
            _ => {}
        }
    }

    /// A message comes: to whoever waits, or it is kept.
    fn deliver(&mut self, correlation: String) {
        match self.database.waits.remove(&correlation) {
            Some(step) => {
                self.post(MailContent::Reply { step, correlation, message: reply_message() });
            }
            None => *self.database.early.entry(correlation).or_default() += 1,
        }
    }

    fn post(&mut self, content: MailContent) {
        let database = &mut self.database;
        if database.state.status(false).is_final() {
            return;
        }
        let number = database.mail.len() as i64 + 1;
        database.mail.push(Mail { number, content });
        if let Lease::Free { ready } = &mut database.lease {
            *ready = true;
        }
    }

    /// Nobody works on the saga: a host claims it as soon as there is a reason, and the world provides one.
    fn wake(&mut self) {
        let due = self.database.due.is_some_and(|due| due <= self.now);
        match self.database.lease {
            Lease::Lost => {
                self.database.interruptions += 1;
                self.claim();
            }
            Lease::Free { ready } if ready || due => self.claim(),
            Lease::Held => panic!("leased to nobody"),
            Lease::Free { .. } => {
                let waits = self.database.waits.keys().next().cloned();
                match (waits, self.database.due) {
                    (Some(correlation), _) if !self.choices.rarely(3) => self.deliver(correlation),
                    (_, Some(due)) => self.now = due,
                    (_, None) => {
                        assert!(self.database.state.attention.is_some(), "asleep for ever");
                        self.saw("attention");
                        self.post(verb(Verb::Resume));
                    }
                }
            }
        }
    }

    /// As the driver takes a claimed saga up.
    fn claim(&mut self) {
        let database = &mut self.database;
        database.lease = Lease::Held;
        let (state, interruptions) = (database.state.clone(), database.interruptions);
        let mail = unseen(&database.mail, &state);
        let event = if mail.is_empty() { Event::Due } else { Event::Mail(mail) };
        let decision = self.decide(&state, event);
        self.memory = Some(Memory { state, calling: None, ended: None });
        if decision.entries.is_empty() {
            self.remember(decision.state);
            self.apply(Event::Claimed { interruptions }, None);
        } else {
            self.commit(decision, None);
        }
    }

    fn decide(&mut self, state: &State, event: Event) -> Decision {
        let chance = self.choices.of(5) as f64 / 5.0;
        let memory = self.memory.as_ref();
        let calling = memory.and_then(|memory| memory.calling).map(|(step, _)| step);
        let ended = memory.and_then(|memory| memory.ended.as_ref()).map(|(ended, _)| ended.step);
        let calling: Vec<_> = calling.into_iter().chain(ended).collect();
        let now = Now { at: self.now, chance, calling: &calling };
        decide(&self.definition, state, event, now).unwrap()
    }

    fn memory(&mut self) -> &mut Memory {
        self.memory.as_mut().expect("a host holds it")
    }

    fn remember(&mut self, state: State) {
        self.memory().state = state;
    }

    fn crash(&mut self) {
        self.memory = None;
        self.database.lease = Lease::Lost;
        self.saw("crash");
    }

    /// The next thing that the host does.
    fn drive(&mut self) {
        let mail = self.database.mail.len() as i64;
        // It learns of mail by a bell, which may come late, or by its own commit.
        let late = self.choices.of(2) == 1;
        let memory = self.memory();
        let has_work = memory.ended.is_some() || memory.state.runnable().next().is_some();
        let news = mail > memory.state.mail_seen && !(late && has_work);
        if news {
            self.read_mail();
        } else if let Some(ended) = memory.ended.take() {
            self.apply(Event::Finished(ended.0.clone()), Some(ended));
        } else if let Some((step, called)) = memory.calling {
            self.now = self.now.after(std::time::Duration::from_millis(1));
            if self.choices.rarely(20) {
                return self.crash();
            }
            let (outcome, wrote) = self.outcome(step, called);
            let started_at = self.now;
            let finished = Finished { step, outcome, digest: None, started_at, wrote };
            let memory = self.memory();
            memory.calling = None;
            memory.ended = Some((finished, called));
        } else if self.choices.rarely(20) {
            self.saw("release");
            self.memory = None;
            self.database.lease = Lease::Free { ready: true };
            self.database.interruptions = 0;
        } else {
            self.call();
        }
    }

    fn call(&mut self) {
        let state = &self.memory().state;
        let open = state.runnable().next().expect("whatever is held has something to call");
        let called = match &open.activity {
            Activity::Resume(Arrival::Message { .. }) => Called::Message,
            Activity::Resume(Arrival::TimedOut) => Called::TimedOut,
            _ => Called::Fresh,
        };
        let (step, direction) = (open.step, state.direction());
        assert!(self.database.interruptions <= 2, "it is called though its hosts keep dying");
        self.world.check_call(step, direction, called, self.now);
        self.memory().calling = Some((step, called));
    }

    /// What the guest answers, and whether with SQL of its own.
    fn outcome(&mut self, step: u16, called: Called) -> (Outcome, bool) {
        let direction = self.memory().state.direction();
        let undo = direction == Direction::Undo;
        let guarded =
            called == Called::Fresh && !undo && self.definition.steps[usize::from(step)].guarded;
        let outcome = match self.choices.of(14) {
            5 | 6 => self.wait(step, undo, true),
            7 => self.wait(step, undo, false),
            8 => retryable(),
            9 => unknown(),
            10 => permanent(),
            11 => unavailable(),
            12 if guarded => Ok(StepOutcome::Skipped),
            13 if guarded => rejected(),
            _ => done(),
        };
        // Only a good end is committed with the guest's own SQL.
        let wrote = outcome.is_ok() && self.choices.rarely(6);
        (outcome, wrote)
    }

    fn wait(&mut self, step: u16, undo: bool, sends: bool) -> Outcome {
        let one = source(&correlation(step, undo));
        let mut sources = vec![one];
        if self.choices.rarely(3) {
            sources.push(source(&format!("{step}/other")));
        }
        self.saw("wait");
        Ok(StepOutcome::Wait(Wait {
            sources,
            timeout: None,
            effects: sends.then(command).into_iter().collect(),
            undo: None,
            memo: None,
        }))
    }

    fn read_mail(&mut self) {
        let again = self.choices.rarely(4);
        let memory = self.memory.as_ref().expect("a host holds it");
        let mail = if again {
            self.database.mail.clone()
        } else {
            unseen(&self.database.mail, &memory.state)
        };
        self.apply(Event::Mail(mail), None);
    }

    fn apply(&mut self, event: Event, ended: Option<Ended>) {
        let state = self.memory().state.clone();
        let decision = self.decide(&state, event);
        let under_way = self.memory().is_under_way();
        if decision.entries.is_empty() && (!decision.settles() || under_way) {
            self.remember(decision.state);
        } else {
            self.commit(decision, ended);
        }
    }

    /// The one commit, with a crash before or after it, and mail that comes while it is under way.
    fn commit(&mut self, decision: Decision, ended: Option<Ended>) {
        self.outside();
        if self.choices.rarely(20) {
            return self.crash();
        }
        let settles = decision.settles() && !self.memory().is_under_way();
        if settles && self.database.mail.len() as i64 > decision.state.mail_seen {
            self.saw("mail before the end");
            self.memory().ended = ended;
            return self.read_mail();
        }
        self.persist(&decision, ended);
        self.memory().state = decision.state;
        if self.choices.rarely(20) {
            if self.database.lease == Lease::Held {
                self.crash();
            }
            self.memory = None;
        } else if self.database.lease != Lease::Held {
            self.memory = None;
        }
    }

    fn persist(&mut self, decision: &Decision, ended: Option<Ended>) {
        let direction = self.database.state.direction();
        if let Some((Finished { step, outcome, wrote, .. }, called)) = ended {
            self.world.ended(step, direction, called, &outcome, wrote, self.now);
        }
        for entry in &decision.entries {
            match entry.kind {
                EntryKind::Undoing => self.world.turns_back(),
                EntryKind::Cancelled => self.world.cancelled(),
                EntryKind::Resumed => self.world.resumed(),
                EntryKind::NeedsAttention => {
                    self.world.check_attention(self.database.interruptions);
                }
                _ => {}
            }
        }
        let settles = decision.settles() && !self.memory().is_under_way();
        let database = &mut self.database;
        let json = serde_json::to_string(&decision.state).unwrap();
        database.state = serde_json::from_str(&json).unwrap();
        assert_eq!(database.state, decision.state, "a state comes back as it went");
        database.journal.extend(decision.entries.iter().cloned());
        database.interruptions = 0;
        database.lease = if settles { Lease::Free { ready: false } } else { Lease::Held };
        database.due = decision.state.due().filter(|_| settles);
        database.waits.clear();
        for (step, source) in waits(&decision.state) {
            if let WaitSource::Message { correlation, .. } = source {
                database.waits.insert(correlation, step);
            }
        }
        let met = database.waits.iter().find(|(correlation, _)| {
            database.early.get(*correlation).is_some_and(|count| *count > 0)
        });
        if let Some((correlation, _)) = met.map(|(c, s)| (c.clone(), *s)) {
            *database.early.get_mut(&correlation).unwrap() -= 1;
            database.lease = Lease::Held;
            database.due = None;
            self.deliver(correlation);
            self.database.waits.clear();
            self.saw("early reply");
        }
    }

    /// Each piece of mail was taken in once: what is not in the journal went to a step.
    fn check_mail(&self) {
        let count = |kind| self.database.journal.iter().filter(|entry| entry.kind == kind).count();
        let seen = self.database.state.mail_seen;
        let pieces = |matches: fn(&MailContent) -> bool| {
            let taken = self.database.mail.iter().filter(|mail| mail.number <= seen);
            taken.filter(|mail| matches(&mail.content)).count()
        };
        let cancels =
            pieces(|content| matches!(content, MailContent::Verb { verb: Verb::Cancel, .. }));
        let resumes =
            pieces(|content| matches!(content, MailContent::Verb { verb: Verb::Resume, .. }));
        let replies = pieces(|content| matches!(content, MailContent::Reply { .. }));
        assert_eq!(seen, self.database.mail.len() as i64, "mail that nobody read");
        assert_eq!(count(EntryKind::Cancelled), cancels);
        assert_eq!(count(EntryKind::Resumed), resumes);
        assert!(count(EntryKind::LateMessage) <= replies);
        self.check_journal();
    }

    /// Attempts grow, nothing follows a success, and a saga has one end, which only mail may follow.
    fn check_journal(&self) {
        let mut last = BTreeMap::new();
        let ends = [EntryKind::Completed, EntryKind::Compensated, EntryKind::SagaFailed];
        let journal = &self.database.journal;
        let end = journal.iter().position(|entry| ends.contains(&entry.kind)).expect("an end");
        let mail = [EntryKind::Cancelled, EntryKind::Resumed, EntryKind::LateMessage];
        assert!(journal[end + 1..].iter().all(|entry| mail.contains(&entry.kind)), "after the end");
        for entry in journal {
            if let (Some(step), true) = (entry.step, entry.attempt > 0) {
                let before =
                    last.insert((step, entry.direction.as_str()), (entry.kind, entry.attempt));
                let Some((kind, attempt)) = before else { continue };
                assert!(kind != EntryKind::Succeeded, "step {step} ran again after its success");
                // An undo that was passed over begins anew.
                let again = u32::from(kind == EntryKind::Retrying);
                let grows = entry.attempt >= attempt + again || kind == EntryKind::Failed;
                assert!(grows, "attempts of {step} do not grow");
            }
        }
    }
}

fn correlation(step: u16, undo: bool) -> String {
    format!("{step}/{}", if undo { "undo" } else { "do" })
}

fn unseen(mail: &[Mail], state: &State) -> Vec<Mail> {
    mail.iter().filter(|mail| mail.number > state.mail_seen).cloned().collect()
}

fn waits(state: &State) -> impl Iterator<Item = (u16, WaitSource)> {
    state.open.iter().flat_map(|open| match &open.activity {
        Activity::Wait { sources, .. } => sources.iter().map(|s| (open.step, s.clone())).collect(),
        _ => Vec::new(),
    })
}
