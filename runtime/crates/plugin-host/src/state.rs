//! What a store carries for one call: who calls, what its imports tell, and how much it has taken.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng as _;
use wasaga_domain::{
    clock::Clock,
    ids::{SagaId, TaskId},
    ports::CallContext,
};
use wasmtime::{ResourceLimiter, component::ResourceTable};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use crate::{
    access::Access,
    chance::{Chance, Seed},
    guest::Lane,
    http::Requests,
    limits::{Limits, told, told_bytes},
    session::Session,
};

/// The data of a call's store.
pub(crate) struct CallState {
    pub access: Arc<Access>,
    /// When it ends.
    pub until: Instant,
    pub lane: Lane,
    pub subject: Subject,
    pub context: Option<CallContext>,
    pub clock: Arc<dyn Clock>,
    pub limits: Arc<Limits>,
    pub log: LogBudget,
    pub memory: MemoryBudget,
    /// Calls of imports so far.
    pub host_calls: u32,
    pub chance: Chance,
    /// Only where the component imports WASI: it costs microseconds.
    pub wasi: Option<Box<Wasi>>,
    /// Only where something is granted that needs the database.
    pub session: Option<Session>,
    /// Only where HTTP is granted.
    pub requests: Option<Requests>,
}

impl CallState {
    /// Whether the guest may have changed something outside the host's transaction.
    pub(crate) fn reached_out(&self) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.reached_out)
    }
}

impl CallState {
    /// Counts a call of an import: every import begins with it.
    pub(crate) fn called(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        let limit = self.limits.host_calls;
        if self.host_calls > limit {
            let limit = told(limit, "host_calls");
            return Err(self.refuse(format!("too many calls of the host: {limit}")));
        }
        Ok(())
    }

    /// Goes on from another attempt in the same instance: what that instance holds is still its own.
    pub(crate) fn take_over(&mut self, before: Self) {
        self.memory.used = before.memory.used;
        self.wasi = before.wasi;
    }

    /// The trap of a guest that hit a limit.
    pub(crate) fn refuse(&mut self, what: String) -> wasmtime::Error {
        self.memory.hit = Some(what.clone());
        wasmtime::Error::msg(what)
    }
}

/// What a call is about, for the log.
pub(crate) enum Subject {
    /// The plugin itself, while it is loaded.
    Plugin,
    /// A step's attempt.
    Step {
        /// The saga.
        saga: SagaId,
        /// The step's name.
        step: Arc<str>,
        /// From 1.
        attempt: u32,
    },
    /// A task's attempt.
    Task {
        /// The task.
        task: TaskId,
        /// From 1.
        attempt: u32,
    },
}

/// What a call may still log, and what it said last when something was wrong.
#[derive(Default)]
pub(crate) struct LogBudget {
    pub lines: u32,
    /// The last line of level error: a guest's panic comes as one, before its trap.
    pub last_error: Option<String>,
}

/// A WASI context in which there is nothing: no files, network, environment or arguments.
#[derive(Default)]
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    /// One whose clocks are the host's, and whose chance is of this seed.
    pub(crate) fn replaying(clock: &Arc<dyn Clock>, seed: Seed) -> Self {
        let context = WasiCtx::builder()
            .wall_clock(Told(clock.clone()))
            .monotonic_clock(Told(clock.clone()))
            .secure_random(seed.of("wasi random"))
            .insecure_random(seed.of("wasi insecure random"))
            .insecure_random_seed(seed.of("wasi insecure seed").next_u64().into())
            .build();
        Self { context, table: ResourceTable::new() }
    }
}

/// The host's clock as WASI's.
struct Told(Arc<dyn Clock>);

impl Told {
    fn since_epoch(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().0).unwrap_or(0))
    }
}

impl HostWallClock for Told {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.since_epoch()
    }
}

impl HostMonotonicClock for Told {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since_epoch().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.as_mut().expect("a component that imports wasi is given its context");
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

/// Linear memory and tables of a call.
pub(crate) struct MemoryBudget {
    limit: usize,
    table_limit: usize,
    used: usize,
    /// Which limit the call hit, as a sentence.
    pub hit: Option<String>,
}

impl MemoryBudget {
    /// For all memories of a call together.
    pub(crate) fn new(limit: usize, table_limit: usize) -> Self {
        Self { limit, table_limit, used: 0, hit: None }
    }

    fn refuse(&mut self, what: String) -> wasmtime::Result<bool> {
        let error = wasmtime::Error::msg(what.clone());
        self.hit = Some(what);
        Err(error)
    }
}

/// Refusals trap: a guest that is told -1 aborts as if it had a bug, and nobody learns why.
impl ResourceLimiter for MemoryBudget {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used + desired.saturating_sub(current);
        if used > self.limit {
            let limit = told_bytes(self.limit, "memory_bytes");
            return self.refuse(format!("out of memory: {limit}"));
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_limit {
            let limit = told(format_args!("{} elements", self.table_limit), "table_elements");
            return self.refuse(format!("table too large: {limit}"));
        }
        Ok(true)
    }
}
