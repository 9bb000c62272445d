//! Which way a call takes: an OS thread of the pool, or tokio where the plugin is granted `sql` or the event store and
//! so may wait for the database. Both ways have a bound of their own, so that neither kind of plugin takes the other's share.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout_at};
use wasaga_domain::{
    clock::UnixMillis,
    ports::{StepCall, StepReport, TaskCall, TaskReport},
};

use crate::{
    calls::{Calls, overloaded},
    guest::Lane,
    loading::Loaded,
    pool::{Job, Places, Pool},
    report::{Ended, Reported, Reporter},
};

/// The ways of a host.
pub(crate) struct Lanes {
    pool: Pool<Errand>,
    runtime: Handle,
    waiting: Arc<Semaphore>,
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

impl Lanes {
    /// `at_once` calls that may wait for the database.
    pub(crate) fn new(pool: Pool<Errand>, runtime: Handle, at_once: usize) -> Self {
        Self { pool, runtime, waiting: Arc::new(Semaphore::new(at_once)) }
    }

    /// Sends a call on its way.
    pub(crate) fn run(&self, errand: Errand) {
        if errand.plugin.access.database() {
            self.runtime.spawn(errand.wait(self.waiting.clone()));
        } else {
            self.pool.run(errand);
        }
    }
}

impl Errand {
    /// Runs the call in this lane and reports it.
    async fn call(self, lane: Lane) {
        let Self { calls, plugin, work } = self;
        match work {
            Work::Step(call, report) => report.send(calls.step(&plugin, *call, lane).await),
            Work::Task(call, report) => report.send(calls.task(&plugin, *call, lane).await),
        }
    }

    /// Waits for its turn, until its deadline.
    async fn wait(self, turns: Arc<Semaphore>) {
        let turn = match self.calls.until(self.work.deadline()) {
            Some(until) => timeout_at(until.into(), turns.acquire()).await.ok(),
            None => None,
        };
        if let Some(turn) = turn {
            Box::pin(self.call(Lane::Async)).await;
            drop(turn);
        } else {
            self.give_up();
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

impl Job for Errand {
    fn run(self, places: &Places) {
        let lane = Lane::Sync(Some(places.clone()));
        self.call(lane).now_or_never().expect("the synchronous lane never waits");
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
