//! One instance of a plugin, for one call or two of one attempt. Then its store is dropped, unless the operator lets the
//! plugin's instances serve more than one attempt.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Store, UpdateDeadline,
    component::{Instance, InstancePre},
};

use crate::{
    contract::Function,
    engine::{TICK, ticks},
    exports::Export,
    failure::of_trap,
    http::Requests,
    pool::{PATIENCE, Places},
    session::Session,
    state::CallState,
};
use wasaga_domain::{http::HttpExchange, outcome::Failure};

/// How a guest's code shares its thread.
#[derive(Clone)]
pub(crate) enum Lane {
    /// It holds the thread to its end. A long call gives its place in the pool up, where there is a pool.
    Sync(Option<Places>),
    /// It gives way at every tick, and wherever an import waits.
    Async,
}

/// An instance, fresh or used.
pub(crate) struct Guest {
    store: Store<CallState>,
    instance: Instance,
    /// It trapped, and is of no more use.
    spoilt: bool,
    /// Attempts that it has served, this one included.
    attempts: u32,
}

/// An instance between two attempts.
pub(crate) struct Idle {
    guest: Guest,
    /// Its place among those of the host that are kept.
    _place: OwnedSemaphorePermit,
}

impl Guest {
    /// Instantiates a plugin for a call. In the synchronous lane nothing is ever awaited: the future is ready when it is
    /// first polled.
    pub(crate) async fn start(
        pre: &InstancePre<CallState>,
        state: CallState,
    ) -> Result<Self, Failure> {
        let waits = state.lane.waits();
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|context| Ok(context.data().overdue()));
        arm(&mut store);
        let instance = if waits {
            pre.instantiate_async(&mut store).await
        } else {
            pre.instantiate(&mut store)
        };
        match instance {
            Ok(instance) => Ok(Self { store, instance, spoilt: false, attempts: 1 }),
            Err(error) => Err(of_trap(&error, store.data(), "instantiation")),
        }
    }

    /// The same with an instance that has served other attempts: its memory is as they left it.
    pub(crate) fn again(idle: Idle, state: CallState) -> Self {
        let Idle { mut guest, _place } = idle;
        let before = mem::replace(guest.store.data_mut(), state);
        guest.store.data_mut().take_over(before);
        arm(&mut guest.store);
        guest.attempts += 1;
        guest
    }

    /// Calls an export.
    pub(crate) async fn call<F: Function>(
        &mut self,
        export: &Export<F>,
        params: F::Params<'_>,
    ) -> Result<F::Results, Failure> {
        let begun = Instant::now();
        let result = self.enter(export, params).await;
        export.seconds.record(begun.elapsed());
        result.map_err(|error| {
            self.spoilt = true;
            of_trap(&error, self.store.data(), F::NAME)
        })
    }

    async fn enter<F: Function>(
        &mut self,
        export: &Export<F>,
        params: F::Params<'_>,
    ) -> wasmtime::Result<F::Results> {
        let function = export.of(&self.instance, &mut self.store)?;
        if self.store.data().lane.waits() {
            function.call_async(&mut self.store, params).await
        } else {
            function.call(&mut self.store, params)
        }
    }

    /// Whether an export has its function's types.
    pub(crate) fn check<F: Function>(&mut self, export: &Export<F>) -> wasmtime::Result<()> {
        export.of(&self.instance, &mut self.store).map(drop)
    }

    /// Whether it may have changed something outside the host's transaction.
    pub(crate) fn reached_out(&self) -> bool {
        self.store.data().reached_out()
    }

    /// What became of its requests, where that is recorded.
    pub(crate) fn take_exchanges(&mut self) -> Vec<HttpExchange> {
        let requests = self.store.data_mut().requests.as_mut();
        requests.map(Requests::take_exchanges).unwrap_or_default()
    }

    /// What the attempt left: its use of the database, and the instance, where that may serve another one and there is a
    /// place to keep it.
    pub(crate) fn end(
        mut self,
        most: u32,
        places: &Arc<Semaphore>,
    ) -> (Option<Session>, Option<Idle>) {
        let state = self.store.data_mut();
        let session = state.session.take();
        (state.context, state.requests) = (None, None);
        if self.spoilt || self.attempts >= most {
            return (session, None);
        }
        let place = places.clone().try_acquire_owned().ok();
        (session, place.map(|place| Idle { guest: self, _place: place }))
    }
}

impl Lane {
    /// Whether the guest gives way and waits, and so runs asynchronously.
    fn waits(&self) -> bool {
        matches!(self, Self::Async)
    }
}

impl CallState {
    /// What becomes of a guest that runs into the end of its epochs.
    fn overdue(&self) -> UpdateDeadline {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return UpdateDeadline::Interrupt;
        }
        match &self.lane {
            Lane::Sync(places) => {
                if let Some(places) = places {
                    places.give_up();
                }
                UpdateDeadline::Continue(ticks(left))
            }
            Lane::Async => UpdateDeadline::Yield(ticks(TICK)),
        }
    }

    /// How long its code runs before the host looks at it.
    fn first_look(&self) -> Duration {
        let left = self.until.saturating_duration_since(Instant::now());
        match &self.lane {
            Lane::Sync(Some(_)) => left.min(PATIENCE),
            Lane::Sync(None) => left,
            Lane::Async => TICK,
        }
    }
}

/// Sets the bounds of what the next attempt hands over and of how long it runs.
fn arm(store: &mut Store<CallState>) {
    let (fuel, first) = (store.data().limits.result_bytes, store.data().first_look());
    store.set_hostcall_fuel(fuel);
    store.set_epoch_deadline(ticks(first));
}
