//! Which way a call takes: an OS thread of the pool, or tokio where the plugin may wait: for the database, as it is granted
//! `sql` or the event store, or for other hosts, as it is granted HTTP. Each way has a bound of its own, so that no kind of
//! plugin takes the others' share; and on the pool a module that takes much of the processors goes behind the others.

use std::{io, sync::Arc, time::Instant};

use futures::FutureExt as _;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout_at};
use wasaga_domain::{
    clock::UnixMillis,
    ports::{StepCall, StepReport, TaskCall, TaskReport},
};

use crate::{
    access::Access,
    calls::{Calls, overloaded},
    engine::HOST_STACK,
    guest::Lane,
    limits::Limits,
    loading::Loaded,
    pool::{Job, LongCalls, Places, Pool, Threads},
    report::{Ended, Reported, Reporter},
    shares::Shares,
    usage::of_call,
};

/// The ways of a host.
pub(crate) struct Lanes {
    pool: Pool<Turn>,
    /// The same for calls of modules that take much of the processors.
    behind: Pool<Turn>,
    /// What each plugin has in the pool.
    pooled: Shares<Errand>,
    runtime: Handle,
    /// Calls that may wait for the database.
    database: Waiting,
    /// Calls that may wait for other hosts alone.
    http: Waiting,
}

/// Calls that may wait, so many at once.
struct Waiting {
    shares: Shares<Errand>,
    places: Arc<Semaphore>,
}

impl Waiting {
    fn new(places: usize) -> Self {
        Self { shares: Shares::new(most(places)), places: Arc::new(Semaphore::new(places)) }
    }
}

/// Of so many places one plugin has at most these.
fn most(places: usize) -> usize {
    places - places / 4
}

/// A call on its way.
pub(crate) struct Errand {
    pub calls: Arc<Calls>,
    pub plugin: Arc<Loaded>,
    pub work: Work,
}

/// What to call, and whom to tell.
pub(crate) enum Work {
    Step(Box<StepCall>, Reporter<StepReport>),
    Task(Box<TaskCall>, Reporter<TaskReport>),
}

/// A call that has its plugin's place in the lane, and gives it back when it is dropped.
pub(crate) struct Turn {
    lanes: Arc<Lanes>,
    plugin: Arc<Loaded>,
    errand: Option<Errand>,
}

impl Lanes {
    /// The pool's threads and `long_calls` beside them run guests that never wait; `database` calls at once may wait for the
    /// database, and `http` ones for other hosts alone. A plugin has at most the pool's threads, and three quarters of
    /// the rest.
    pub(crate) fn new(
        threads: usize,
        limits: &Limits,
        runtime: Handle,
        database: usize,
        http: usize,
    ) -> io::Result<Arc<Self>> {
        let long = LongCalls::new(limits.long_calls);
        let pool = |behind| {
            let stack = limits.stack_bytes + HOST_STACK;
            Pool::new(Threads { count: threads, stack, behind }, long.clone())
        };
        Ok(Arc::new(Self {
            pool: pool(false)?,
            behind: pool(true)?,
            pooled: Shares::new(threads + most(limits.long_calls)),
            runtime,
            database: Waiting::new(database),
            http: Waiting::new(http),
        }))
    }

    /// Sends a call on its way.
    pub(crate) fn run(self: &Arc<Self>, errand: Errand) {
        let plugin = errand.plugin.clone();
        if let Some(errand) = self.shares(&plugin).enter(&plugin.manifest.name, errand) {
            self.turn(errand);
        }
    }

    /// Where the plugin's calls wait; none: they never do.
    fn waiting(&self, plugin: &Loaded) -> Option<&Waiting> {
        if plugin.access.any(Access::database) {
            return Some(&self.database);
        }
        plugin.access.any(Access::http).then_some(&self.http)
    }

    fn shares(&self, plugin: &Loaded) -> &Shares<Errand> {
        self.waiting(plugin).map_or(&self.pooled, |waiting| &waiting.shares)
    }

    fn turn(self: &Arc<Self>, errand: Errand) {
        let plugin = errand.plugin.clone();
        let places = self.waiting(&plugin).map(|waiting| waiting.places.clone());
        let turn = Turn { lanes: self.clone(), plugin, errand: Some(errand) };
        if let Some(places) = places {
            self.runtime.spawn(turn.wait(places));
        } else if turn.is_heavy() {
            self.behind.run(turn);
        } else {
            self.pool.run(turn);
        }
    }
}

impl Turn {
    /// Waits for a place, until the call's deadline, and runs on a thread of its own: a guest that computes would keep
    /// the runtime's from all else.
    async fn wait(mut self, places: Arc<Semaphore>) {
        let Some(errand) = self.errand.take() else { return };
        let place = match errand.calls.until(errand.work.deadline()) {
            Some(until) => timeout_at(until.into(), places.acquire_owned()).await.ok(),
            None => None,
        };
        let Some(place) = place else {
            return errand.give_up();
        };
        let runtime = self.lanes.runtime.clone();
        // Never behind the others: threads that the runtime starts for it would be so for good, whomever they serve later.
        let call = move || {
            runtime.block_on(Box::pin(errand.call(Lane::Async)));
            drop((place, self));
        };
        tokio::task::spawn_blocking(call);
    }

    fn is_heavy(&self) -> bool {
        self.plugin.usage.is_much(Instant::now())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(next) = self.lanes.shares(&self.plugin).leave(&self.plugin.manifest.name) {
            self.lanes.turn(next);
        }
    }
}

impl Errand {
    /// Runs the call in this lane and reports it.
    async fn call(self, lane: Lane) {
        let Self { calls, plugin, work } = self;
        match work {
            Work::Step(call, report) => {
                let report = report.its_turn();
                report.send(calls.step(&plugin, *call, lane).await);
            }
            Work::Task(call, report) => {
                let report = report.its_turn();
                report.send(calls.task(&plugin, *call, lane).await);
            }
        }
    }

    fn give_up(self) {
        fn tell<R: Reported>(report: Reporter<R>, plugin: &Loaded) {
            report.send(Ended::failed(overloaded(plugin)));
        }
        match self.work {
            Work::Step(_, report) => tell(report, &self.plugin),
            Work::Task(_, report) => tell(report, &self.plugin),
        }
    }
}

impl Job for Turn {
    fn run(mut self, places: &Places) {
        let Some(errand) = self.errand.take() else { return };
        let (begun, lane) = (Instant::now(), Lane::Sync(Some(places.clone())));
        errand.call(lane).now_or_never().expect("the synchronous lane never waits");
        let ended = Instant::now();
        self.plugin.usage.add(of_call(ended - begun), ended);
    }
}

impl Work {
    fn deadline(&self) -> UnixMillis {
        match self {
            Self::Step(call, _) => call.attempt.deadline,
            Self::Task(call, _) => call.deadline,
        }
    }
}
