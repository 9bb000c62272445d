//! What a host does with the saga it holds, as the driver's actor does it: mail first, then the ends of attempts, then
//! what is due, then calls.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;
use wasaga_domain::{ids::HostId, journal::EntryKind, ledger::Ledger, mail::Mail, state::Course};
use wasaga_engine::{
    decide::{Decision, Event, Finished, Now, decide},
    driver::{
        claims::Loaded,
        held::{Busy, Facts, Held},
    },
};

use super::{Host, Simulation, calls::called_of};
use crate::{
    model::{Effects, Model, Moment, Told, View},
    outcomes,
    store::Store,
};

impl<S: Store> Simulation<S> {
    /// A host that lives: the last one, or a new one.
    pub(super) async fn process(&mut self) -> HostId {
        let last = self.process.filter(|_| self.choices.of(2) == 0);
        let host = match last {
            Some(host) => host,
            None => self.store.host().await,
        };
        *self.process.insert(host)
    }

    /// The saga is new, and this host's.
    pub(super) fn hold_new(&mut self, id: HostId) {
        let held = Held {
            facts: Facts {
                id: self.saga.id,
                definition: Arc::clone(&self.definition),
                business_key: None,
                nonce: self.saga.nonce,
                traceparent: None,
                input: self.saga.input.clone(),
                child: false,
            },
            life: 0,
            since: Instant::now(),
            wake: None,
            epoch: 1,
            sequence: 0,
            mail: 0,
            state: self.saga.state.clone(),
            ledger: Arc::new(Ledger::default()),
            registered: false,
            calling: HashSet::new(),
            busy: Busy::No,
            migrates: false,
            finished: VecDeque::new(),
        };
        self.hold(id, held);
    }

    fn hold(&mut self, id: HostId, held: Held) {
        let model = self.expected.model.clone();
        self.host = Some(Host { id, held, model, calls: BTreeMap::new(), last: None });
    }

    /// As the driver takes a claimed saga up.
    pub(super) async fn claim(&mut self) {
        let id = self.process().await;
        let loaded = self.store.claim(id).await.expect("whoever may claim it does");
        self.expected.claimed();
        self.expected.check(self.store.memory());
        if self.choices.rarely(24) {
            self.saw("host", "dies before it hears of its claim");
            self.store.host_dies(id).await;
            self.expected.dies();
            self.process = None;
            return;
        }
        let Loaded { held, interruptions, mail } = loaded;
        self.hold(id, held);
        if self.host().held.state.course == Course::Unopened {
            let refusal = self.choices.rarely(8).then(|| "it does not fit".to_owned());
            let (decision, model) = self.decide(&Event::Opened { refusal });
            if !decision.entries.is_empty() {
                return self.commit(decision, model, None).await;
            }
            self.remember(decision, model);
        }
        let (decision, model) = self.decide(&mail.unwrap_or(Event::Due));
        if decision.entries.is_empty() {
            self.remember(decision, model);
            self.apply(Event::Claimed { interruptions, reaching_out: Vec::new() }).await;
        } else {
            self.commit(decision, model, None).await;
        }
    }

    /// The next thing that the host does.
    pub(super) async fn drive(&mut self) {
        let (now, posted) = (self.now, self.store.memory().mail_number());
        // It hears of mail by a bell, which may come late.
        let bell = !self.choices.rarely(2);
        let held = &mut self.host().held;
        if bell {
            held.mail = posted;
        }
        if held.mail > held.state.mail_seen {
            self.read_mail().await;
        } else if let Some((finished, _)) = held.finished.pop_front() {
            self.apply(Event::Finished(finished)).await;
        } else if held.state.due().is_some_and(|due| due <= now) || held.has_nothing_to_do() {
            self.apply(Event::Due).await;
        } else {
            self.call();
            self.guests().await;
        }
    }

    async fn read_mail(&mut self) {
        let seen = self.host().held.state.mail_seen;
        let from = if self.choices.rarely(4) { 0 } else { seen };
        let mail: Vec<Mail> = self.store.mail(from).await;
        let held = &mut self.host().held;
        held.mail = mail.last().map_or(seen, |last| last.number);
        self.apply(Event::Mail(mail)).await;
    }

    pub(super) async fn apply(&mut self, event: Event) {
        let (decision, model) = self.decide(&event);
        let under_way = self.host().held.is_under_way();
        if decision.entries.is_empty() && (!decision.settles() || under_way) {
            self.remember(decision, model);
            return;
        }
        let finished = match event {
            Event::Finished(finished) => Some(finished),
            _ => None,
        };
        self.commit(decision, model, finished).await;
    }

    fn remember(&mut self, decision: Decision, model: Model) {
        let host = self.host();
        (host.held.state, host.model) = (decision.state, model);
    }

    /// Decides, and holds what is decided against the model.
    fn decide(&mut self, event: &Event) -> (Decision, Model) {
        let chance = self.choices.of(5) as f64 / 5.0;
        let (at, host) = (self.now, self.host.as_ref().expect("a host holds it"));
        let state = &host.held.state;
        let calling = host.held.under_way();
        let now = Now { at, chance, calling: &calling };
        self.tell(|| told(event));
        let decision = decide(&self.definition, state, event.clone(), now)
            .unwrap_or_else(|illegal| panic!("{illegal}"));
        let mut model = host.model.clone();
        let moment = Moment { at, chance, calling: &calling };
        let name = happens(&mut model, event, moment);
        assert_eq!(
            view(&decision),
            model.view(),
            "(engine, model) after {event:?} during calls of {calling:?} while {state:?}"
        );
        let due = decision.state.due();
        let again = *event == Event::Due && due.is_some_and(|due| due <= at);
        assert!(!again, "what is due is due again at once, and so without end");
        self.count("event", name);
        for (of, what) in &model.noted {
            self.saw(of, what);
        }
        self.tell(|| format!("    {}", line(&decision)));
        (decision, model)
    }
}

/// Tells the model what happens; answers with its name.
fn happens(model: &mut Model, event: &Event, now: Moment) -> &'static str {
    match event {
        Event::Opened { refusal } => {
            model.opens(refusal.is_some(), now);
            "opened"
        }
        Event::Claimed { interruptions, .. } => {
            model.taken(*interruptions, now);
            "claimed"
        }
        Event::Due => {
            model.time_passes(now);
            "due"
        }
        Event::Mail(mail) => {
            model.mail(mail, now);
            "mail"
        }
        Event::Finished(finished) => {
            model.ends(finished.step, &finished.outcome, finished.wrote, now);
            "finished"
        }
        Event::Migrate(_) => panic!("nobody moves it to another definition"),
    }
}

/// A decision as the model sees it.
fn view(decision: &Decision) -> View {
    let state = &decision.state;
    let mut calls: Vec<_> = state
        .runnable()
        .map(|open| (open.step, state.direction(), called_of(&open.activity)))
        .collect();
    calls.sort_unstable_by_key(|(step, ..)| *step);
    let entries = |kind| decision.entries.iter().filter(|entry| entry.kind == kind).count();
    let mut effects = Effects::default();
    effects.add(decision.effects.iter().map(|(_, effect)| effect));
    View {
        status: state.status(false).as_str(),
        calls,
        due: state.due(),
        past_pivot: state.pivoted,
        mail: state.mail_seen,
        signals_kept: state.signals.len(),
        told: Told {
            declined: entries(EntryKind::Declined),
            late: entries(EntryKind::LateMessage),
            insists: decision.insists.clone(),
            cancels: decision.cancels.clone(),
            effects,
        },
    }
}

/// An event, for the story.
fn told(event: &Event) -> String {
    match event {
        Event::Finished(Finished { step, outcome, wrote, .. }) => {
            let wrote = if *wrote { ", and wrote" } else { "" };
            format!("the attempt of {step} ends: {}{wrote}", outcomes::name(outcome))
        }
        Event::Mail(mail) => {
            let numbers: Vec<_> = mail.iter().map(|mail| mail.number.to_string()).collect();
            format!("mail is read: {}", numbers.join(", "))
        }
        Event::Opened { refusal: Some(why) } => format!("it is opened: {why}"),
        Event::Opened { refusal: None } => "it is opened".into(),
        Event::Claimed { interruptions, .. } => format!("claimed after {interruptions} lost hosts"),
        Event::Due => "what is due goes on".into(),
        Event::Migrate(_) => "it is moved to another definition".into(),
    }
}

/// What was decided, for the story.
fn line(decision: &Decision) -> String {
    let entries = decision.entries.iter().map(|entry| {
        let step = entry.step.map(|step| format!(" {step}")).unwrap_or_default();
        format!("{} {}{step}", entry.direction.as_str(), entry.kind.as_str())
    });
    let entries: Vec<_> = entries.collect();
    format!("-> {}  {}", decision.state.status(false).as_str(), entries.join(", "))
}
