//! What comes from outside: replies, asked for or not, signals, children's ends, operators, other hosts, and time.

use wasaga_domain::{
    mail::{Audit, MailContent, Verb},
    outcome::WaitSource,
    payload::Payload,
    state::Activity,
};

use super::{
    Simulation,
    guests::{SIGNALS, correlation, other},
};
use crate::{
    outcomes::{payload, why},
    store::Store,
};

/// More signals than are kept.
const FLOOD: usize = 65;

impl<S: Store> Simulation<S> {
    pub(super) async fn outside(&mut self) {
        match self.choices.of(48) {
            30..=33 => self.zombie_moves().await,
            34..=40 => {
                let waits = self.store.memory().waits();
                if let Some(correlation) = waits.keys().next_back().cloned() {
                    self.deliver(&correlation).await;
                }
            }
            41 => self.child_ends().await,
            42 | 43 => {
                for key in self.early_keys() {
                    self.deliver(&key).await;
                }
            }
            44 => {
                let name = self.choices.one(&SIGNALS);
                let times = if self.choices.rarely(16) { FLOOD } else { 1 };
                for _ in 0..times {
                    self.signal(name).await;
                }
            }
            45..=47 => {
                let what = self.any_verb();
                self.ask(what).await;
            }
            _ => {}
        }
    }

    /// What steps have not asked for yet, or do not ask for any more: often of one that is being called.
    fn early_keys(&mut self) -> Vec<String> {
        let called = self.host.as_ref().and_then(|host| host.calls.keys().next().copied());
        let any = self.choices.of(self.definition.steps.len()) as u16;
        let step = called.filter(|_| self.choices.rarely(2)).unwrap_or(any);
        let (forward, back) = (correlation(step, false), correlation(step, true));
        match self.choices.of(5) {
            0 => vec![forward],
            1 => vec![back],
            2 => vec![forward.clone(), forward],
            3 => vec![back, other(step)],
            _ => vec![forward, other(step)],
        }
    }

    fn any_verb(&mut self) -> Verb {
        let what = self.choices.of(12);
        let steps = self.definition.steps.len();
        let step = match self.definition.steps.get(self.choices.of(steps + 1)) {
            Some(step) => step.name.as_ref().to_owned(),
            None => "nobody".to_owned(),
        };
        match what {
            0 | 1 => Verb::Resume,
            2 | 3 => Verb::Retry { step, module: None },
            4 | 5 => Verb::Skip { step },
            6 => {
                self.payloads += 1;
                Verb::SupplyUndo { step, undo: payload(self.payloads) }
            }
            7 => Verb::Resolve,
            8 | 9 => Verb::Pause,
            _ => Verb::Cancel,
        }
    }

    async fn ask(&mut self, verb: Verb) {
        let name = verb.name();
        let by = Audit { by: Some("an operator".into()), reason: "asked".into() };
        self.tell(|| format!("somebody asks: {verb:?}"));
        let seen = self.expected.posted(verb == Verb::Cancel);
        let posted = self.store.post(&MailContent::Verb { verb, by }).await;
        assert_eq!(posted, seen, "whether {name} is seen (store, expected)");
        if !posted {
            self.saw("refused at once", name);
        }
    }

    async fn signal(&mut self, name: &str) {
        self.tell(|| format!("a signal comes: {name}"));
        let content = MailContent::Signal { name: name.into(), payload: Payload::json("1") };
        let seen = self.expected.posted(false);
        assert_eq!(self.store.post(&content).await, seen, "a signal (store, expected)");
    }

    async fn child_ends(&mut self) {
        let child = self.store.memory().running_children().next();
        if let Some(child) = child {
            let error = self.choices.rarely(3).then(|| why("undone"));
            self.tell(|| format!("a child ends: {error:?}"));
            self.store.child_ends(child, error.as_ref()).await;
            self.expected.child_ended(child);
            self.expected.check(self.store.memory());
        }
    }

    async fn deliver(&mut self, correlation: &str) {
        self.tell(|| format!("a message comes: {correlation}"));
        self.payloads += 1;
        let value = self.payloads.to_string();
        self.store.deliver(correlation, &value).await;
        self.expected.delivered(correlation);
        self.expected.check(self.store.memory());
    }

    /// Nobody works on the saga: a host claims it as soon as there is a reason, and the world provides one.
    pub(super) async fn wake(&mut self) {
        let memory = self.store.memory();
        let unseen = memory.mail_number() > memory.state().mail_seen;
        assert!(memory.is_claimable() || !unseen, "it is parked on mail that it has not seen");
        if memory.is_claimable() {
            self.claim().await;
        } else if memory.state().is_held() {
            let what = self.any_verb();
            self.ask(what).await;
        } else {
            self.answer_or_wait().await;
        }
    }

    async fn answer_or_wait(&mut self) {
        let memory = self.store.memory();
        let due = memory.due().expect("what is not held goes on by itself some time");
        let message = memory.waits().keys().next().cloned();
        let signal = memory.state().open.iter().find_map(|open| match &open.activity {
            Activity::Wait { sources, .. } => sources.iter().find_map(|source| match source {
                WaitSource::Signal(name) => Some(name.clone()),
                _ => None,
            }),
            _ => None,
        });
        match (message, signal) {
            (Some(correlation), _) if !self.choices.rarely(3) => self.deliver(&correlation).await,
            (_, Some(name)) if !self.choices.rarely(2) => self.signal(&name).await,
            _ if self.choices.rarely(3) => self.child_ends().await,
            _ => self.pass_until(due).await,
        }
    }
}
