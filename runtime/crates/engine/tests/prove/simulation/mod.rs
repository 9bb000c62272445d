//! One saga on hosts as the driver's actor runs them, over a store. Chance lets hosts die at any write, answers get lost,
//! mail arrive at any moment, guests return in any order with whatever they may answer, and hosts that lost their lease go
//! on as if they had it. Each decision has to look as the [`Model`] says, each commit to end as the lease says.

mod calls;
mod commit;
mod expected;
mod guests;
mod history;
mod host;
mod outside;
mod zombies;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use wasaga_domain::{
    attempt::Direction, clock::UnixMillis, definition::Definition, ids::HostId, ports::StepCall,
    start::NewSaga,
};
use wasaga_engine::driver::held::Held;
use wasaga_store::commit::Transition;

use expected::Expected;

use crate::{
    choices::Choices,
    coverage::Coverage,
    model::{Model, Moment},
    store::{Start, Store},
};

/// When each case begins.
pub const BEGIN: UnixMillis = UnixMillis(1_000_000);

/// Whatever chance does, a saga ends within so many turns after it has run out.
const TURNS: usize = 5_000;

/// What a host knows.
struct Host {
    id: HostId,
    held: Held,
    model: Model,
    /// Whose guests have not returned, by step.
    calls: BTreeMap<u16, StepCall>,
    /// What it tried to commit last.
    last: Option<Written>,
}

/// A transition, what its guest wrote by SQL of its own, and what holds when it lands.
#[derive(Clone)]
struct Written {
    transition: Transition,
    note: Option<String>,
    model: Model,
}

pub struct Simulation<S> {
    store: S,
    definition: Arc<Definition>,
    saga: NewSaga,
    choices: Choices,
    now: UnixMillis,
    expected: Expected,
    host: Option<Host>,
    /// The last host that lost the saga, and goes on with it.
    zombie: Option<Host>,
    /// The last host that lives.
    process: Option<HostId>,
    /// Idempotency keys, by step and direction.
    keys: HashMap<(u16, Direction), String>,
    /// Sets one payload apart from the others.
    payloads: u64,
    coverage: Coverage,
    /// Whether each event is printed as it happens.
    told: bool,
}

impl<S: Store> Simulation<S> {
    /// `saga` runs `definition`, and is not in the store yet.
    pub fn new(store: S, definition: Arc<Definition>, saga: NewSaga, choices: Choices) -> Self {
        Self {
            store,
            expected: Expected::new(Model::new(Arc::clone(&definition))),
            definition,
            saga,
            choices,
            now: BEGIN,
            host: None,
            zombie: None,
            process: None,
            keys: HashMap::new(),
            payloads: 0,
            coverage: Coverage::default(),
            told: false,
        }
    }

    /// Runs the saga to its end, where nobody holds it any more, and answers with what has happened; `told`: each event is
    /// printed as it happens.
    pub async fn run(mut self, told: bool) -> Coverage {
        self.told = told;
        self.start().await;
        for _ in 0..TURNS {
            let memory = self.store.memory();
            if memory.is_free() && memory.status().is_final() {
                self.zombie_moves().await;
                self.store.check().await;
                self.check_history();
                return self.coverage;
            }
            self.outside().await;
            if self.host.is_some() {
                self.drive().await;
            } else if !self.store.memory().status().is_final() {
                self.wake().await;
            }
        }
        panic!("no end: {:?}", self.store.memory().row());
    }

    async fn start(&mut self) {
        if self.choices.rarely(8) {
            self.store.start(&self.saga, Start::Unopened).await;
            self.saw("start", "by SQL");
        } else {
            let moment = Moment { at: self.now, chance: 0.0, calling: &[] };
            self.expected.model.opens(false, moment);
            let host = self.process().await;
            self.store.start(&self.saga, Start::Leased(host)).await;
            if self.choices.rarely(24) {
                // The host dies before it hears that the saga is its.
                self.saw("start", "by a host that dies");
                self.store.host_dies(host).await;
                self.expected.dies();
                self.process = None;
            } else {
                self.saw("start", "by a host");
                self.hold_new(host);
            }
        }
        self.count("status", "pending");
    }

    async fn pass(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.store.time_passes(by).await;
    }

    async fn pass_until(&mut self, at: UnixMillis) {
        self.pass(at.since(self.now)).await;
    }

    fn host(&mut self) -> &mut Host {
        self.host.as_mut().expect("a host holds it")
    }

    fn saw(&mut self, of: &'static str, what: &'static str) {
        self.coverage.saw(of, what);
        self.tell(|| format!("{of}: {what}"));
    }

    /// What the story tells anyway.
    fn count(&mut self, of: &'static str, what: &'static str) {
        self.coverage.saw(of, what);
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        if self.told {
            println!("{:>6} ms  {}", self.now.0 - BEGIN.0, line());
        }
    }
}
