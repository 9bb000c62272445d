//! One instance of a plugin, for one call or two of one attempt. Then its store is dropped, unless the operator lets the
//! plugin's instances serve more than one attempt.

use std::{mem, sync::Arc, time::Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Store, UpdateDeadline,
    component::{ComponentNamedList, Instance, InstancePre, Lift, Lower},
};

use crate::{
    engine::ticks,
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
    lane: Lane,
    /// It trapped, and is of no more use.
    spoilt: bool,
    /// Attempts that it has served, this one included.
    attempts: u32,
}

/// An instance between two attempts.
pub(crate) struct Idle {
    store: Store<CallState>,
    instance: Instance,
    attempts: u32,
    /// Its place among those of the host that are kept.
    _place: OwnedSemaphorePermit,
}

impl Guest {
    /// Instantiates a plugin for a call that ends at `until`. In the synchronous lane nothing is ever awaited: the
    /// future is ready when it is first polled.
    pub(crate) async fn start(
        pre: &InstancePre<CallState>,
        state: CallState,
        until: Instant,
        lane: Lane,
    ) -> Result<Self, Failure> {
        let fuel = state.limits.result_bytes;
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(fuel);
        set_deadline(&mut store, until, &lane);
        let instance = match lane {
            Lane::Sync(_) => pre.instantiate(&mut store),
            Lane::Async => pre.instantiate_async(&mut store).await,
        };
        match instance {
            Ok(instance) => Ok(Self { store, instance, lane, spoilt: false, attempts: 1 }),
            Err(error) => Err(of_trap(&error, store.data(), "instantiation")),
        }
    }

    /// The same with an instance that has served other attempts: its memory is as they left it.
    pub(crate) fn again(idle: Idle, state: CallState, until: Instant, lane: Lane) -> Self {
        let Idle { mut store, instance, attempts, _place } = idle;
        let fuel = state.limits.result_bytes;
        let before = mem::replace(store.data_mut(), state);
        store.data_mut().take_over(before);
        store.set_hostcall_fuel(fuel);
        set_deadline(&mut store, until, &lane);
        Self { store, instance, lane, spoilt: false, attempts: attempts + 1 }
    }

    /// Calls an export.
    pub(crate) async fn call<P, R>(&mut self, export: &Export, params: P) -> Result<R, Failure>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let begun = Instant::now();
        let result = self.enter(export, params).await;
        export.seconds.record(begun.elapsed());
        result.map_err(|error| {
            self.spoilt = true;
            of_trap(&error, self.store.data(), export.name)
        })
    }

    async fn enter<P, R>(&mut self, export: &Export, params: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let function = self.instance.get_typed_func::<P, R>(&mut self.store, export.index)?;
        match self.lane {
            Lane::Sync(_) => function.call(&mut self.store, params),
            Lane::Async => function.call_async(&mut self.store, params).await,
        }
    }

    /// Whether an export has these types.
    pub(crate) fn check<P, R>(&mut self, export: &Export) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        self.instance.get_typed_func::<P, R>(&mut self.store, export.index).map(drop)
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
        let Ok(place) = places.clone().try_acquire_owned() else {
            return (session, None);
        };
        let Self { store, instance, attempts, .. } = self;
        (session, Some(Idle { store, instance, attempts, _place: place }))
    }
}

fn set_deadline(store: &mut Store<CallState>, until: Instant, lane: &Lane) {
    match lane {
        Lane::Sync(places) => {
            let places = places.clone();
            let patience = until.min(Instant::now() + PATIENCE);
            store.set_epoch_deadline(ticks(if places.is_some() { patience } else { until }));
            store.epoch_deadline_callback(move |_| {
                if Instant::now() >= until {
                    return Ok(UpdateDeadline::Interrupt);
                }
                if let Some(places) = &places {
                    places.give_up();
                }
                Ok(UpdateDeadline::Continue(ticks(until)))
            });
        }
        Lane::Async => {
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(move |_| {
                let over = Instant::now() >= until;
                Ok(if over { UpdateDeadline::Interrupt } else { UpdateDeadline::Yield(1) })
            });
        }
    }
}
