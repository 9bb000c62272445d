//! A small model of one saga, written from the rules of "Saga semantics" and apart from the engine: what its steps did or
//! may have done, and what has to follow from that. It is told what happens, in the order in which it is decided, and
//! knows nothing of `decide`.

mod back;
mod children;
mod course;
mod forward;
mod hands;
mod post;
mod work;

use std::{collections::BTreeMap, sync::Arc};

use wasaga_domain::{
    attempt::Direction, clock::UnixMillis, definition::Definition, ids::SagaId,
    outcome::WaitSource, payload::Payload,
};

use children::Child;
pub use work::Called;
use work::{Doing, Work};

/// The moment at which something happens.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    pub at: UnixMillis,
    /// For jitter.
    pub chance: f64,
    /// Steps whose guests have not returned yet.
    pub calling: &'a [u16],
}

/// What can be seen of a saga.
#[derive(Debug, PartialEq)]
pub struct View {
    pub status: &'static str,
    /// Whose guests are to be called, or are being called.
    pub calls: Vec<(u16, Direction, Called)>,
    pub due: Option<UnixMillis>,
    pub past_pivot: bool,
    /// The last piece of mail that was taken in.
    pub mail: i64,
    pub signals_kept: usize,
    /// Of this event alone.
    pub told: Told,
}

/// What a guest is handed.
#[derive(Debug, PartialEq)]
pub struct Handed {
    pub direction: Direction,
    pub called: Called,
    pub memo: Option<Payload>,
    pub undo: Option<Payload>,
}

/// What an event is to leave behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    pub declined: usize,
    pub late: usize,
    /// Steps that are tried past their policy's last attempt.
    pub insists: Vec<u16>,
    /// Children that turn back with it.
    pub cancels: Vec<SagaId>,
    pub effects: Effects,
}

/// What a step has done beside its own work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    pub messages: usize,
    /// To itself.
    pub signals: usize,
    pub starts: Vec<SagaId>,
}

/// What became of a step.
#[derive(Clone, Default)]
struct Truth {
    /// As long as it is being worked on, forward or back.
    work: Option<Work>,
    passed: bool,
    /// What there is to undo.
    effect: Option<Effect>,
    /// What its undo has to know.
    undo: Option<Payload>,
}

/// Something happened, or may have.
#[derive(Clone, Copy)]
struct Effect {
    /// When its step began.
    began: u32,
    /// When it was done.
    done: u32,
    undo: Undo,
}

#[derive(Clone, Copy, PartialEq)]
enum Undo {
    Owed,
    /// It ran, or an operator has settled it.
    Settled,
    /// It gave up, and the saga went on.
    LeftOver,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Accepted, and not taken up yet.
    Unopened,
    Forward,
    /// It has a reason to turn back, and waits for its guests.
    Stopping,
    Back,
    Ended(&'static str),
}

#[derive(Clone)]
pub struct Model {
    definition: Arc<Definition>,
    truths: Vec<Truth>,
    way: Way,
    /// Counts beginnings and ends, to tell which was first.
    clock: u32,
    deadline: Option<UnixMillis>,
    paused: bool,
    /// Something gave up, and no operator has looked.
    gave_up: bool,
    undid: bool,
    signals: Vec<String>,
    children: Vec<Child>,
    mail: i64,
    told: Told,
    /// Which rules applied, for the coverage.
    pub noted: Vec<(&'static str, &'static str)>,
}

impl Model {
    /// A saga that was accepted, and that nobody has taken up yet.
    pub fn new(definition: Arc<Definition>) -> Self {
        Self {
            truths: vec![Truth::default(); definition.steps.len()],
            way: Way::Unopened,
            clock: 0,
            deadline: None,
            definition,
            paused: false,
            gave_up: false,
            undid: false,
            signals: Vec::new(),
            children: Vec::new(),
            mail: 0,
            told: Told::default(),
            noted: Vec::new(),
        }
    }

    /// It is taken up for the first time.
    pub fn opens(&mut self, refused: bool, now: Moment) {
        self.begin();
        self.deadline = self.definition.deadline.map(|deadline| now.at.after(deadline));
        if refused {
            self.note("turn", "its input was refused");
            self.way = Way::Stopping;
        } else {
            self.way = Way::Forward;
            self.follow(now);
        }
    }

    pub fn view(&self) -> View {
        View {
            status: self.status(),
            calls: self.calls(),
            due: self.due(),
            past_pivot: self.is_past_pivot(),
            mail: self.mail,
            signals_kept: self.signals.len(),
            told: self.told.clone(),
        }
    }

    /// What steps wait for of messages, by correlation key.
    pub fn awaited_messages(&self) -> BTreeMap<String, u16> {
        let mut waits = BTreeMap::new();
        for (step, work) in self.works() {
            let Doing::Waits { sources, .. } = &work.doing else { continue };
            for source in sources {
                if let WaitSource::Message { correlation, .. } = source {
                    waits.insert(correlation.clone(), step);
                }
            }
        }
        waits
    }

    pub fn effects(&self) -> &Effects {
        &self.told.effects
    }

    pub fn cancels(&self) -> &[SagaId] {
        &self.told.cancels
    }

    pub fn is_over(&self) -> bool {
        matches!(self.way, Way::Ended(_))
    }

    /// What the guest of this step is handed.
    pub fn handed(&self, step: u16) -> Handed {
        let truth = &self.truths[usize::from(step)];
        let work = truth.work.as_ref().expect("it is being worked on");
        let Doing::Ready(called) = work.doing else { panic!("{step} is not to be called") };
        let direction = self.direction();
        let (memo, undo) = match (called, direction) {
            (Called::Fresh, Direction::Forward) => (None, None),
            (Called::Fresh, Direction::Undo) => (None, truth.undo.clone()),
            _ => (work.memo.clone(), work.undo.clone().or_else(|| truth.undo.clone())),
        };
        Handed { direction, called, memo, undo }
    }

    /// What is told of the event before does not concern the next one.
    fn begin(&mut self) {
        self.told = Told::default();
        self.noted.clear();
    }

    fn note(&mut self, of: &'static str, what: &'static str) {
        self.noted.push((of, what));
    }

    fn tick(&mut self) -> u32 {
        self.clock += 1;
        self.clock
    }

    fn direction(&self) -> Direction {
        match self.way {
            Way::Back => Direction::Undo,
            _ => Direction::Forward,
        }
    }

    fn status(&self) -> &'static str {
        let waits = |(_, work): (u16, &Work)| matches!(work.doing, Doing::Waits { .. });
        let only_waits = || self.works().next().is_some() && self.works().all(waits);
        match self.way {
            Way::Unopened => "pending",
            Way::Ended(how) => how,
            _ if self.asks() => "needs_attention",
            _ if self.paused => "paused",
            Way::Back => "compensating",
            Way::Forward if only_waits() => "waiting",
            Way::Forward | Way::Stopping => "running",
        }
    }

    fn calls(&self) -> Vec<(u16, Direction, Called)> {
        if self.is_held() || !matches!(self.way, Way::Forward | Way::Back) {
            return Vec::new();
        }
        let call = |(step, work): (u16, &Work)| match work.doing {
            Doing::Ready(called) => Some((step, self.direction(), called)),
            _ => None,
        };
        self.works().filter_map(call).collect()
    }

    /// Nothing is called, and no time fires, until an operator says so.
    fn is_held(&self) -> bool {
        self.paused || self.asks()
    }

    /// Whether it asks for an operator.
    fn asks(&self) -> bool {
        self.gave_up || self.has_only_leftovers()
    }

    fn works(&self) -> impl Iterator<Item = (u16, &Work)> {
        let works = self.truths.iter().map(|truth| truth.work.as_ref());
        (0..).zip(works).filter_map(|(step, work)| Some((step, work?)))
    }

    fn truth(&mut self, step: u16) -> &mut Truth {
        &mut self.truths[usize::from(step)]
    }

    fn work(&mut self, step: u16) -> &mut Work {
        self.truth(step).work.as_mut().expect("it is being worked on")
    }
}
