//! One instance of a plugin, for one call or two of one attempt; then its store is dropped.

use std::time::Instant;

use wasmtime::{
    Store, UpdateDeadline,
    component::{ComponentNamedList, Instance, InstancePre, Lift, Lower},
};

use crate::{
    engine::ticks,
    exports::Export,
    failure::of_trap,
    pool::{PATIENCE, Places},
    state::CallState,
};
use wasaga_domain::outcome::Failure;

/// How a guest's code shares its thread.
#[derive(Clone)]
pub(crate) enum Lane {
    /// It holds the thread to its end. A long call gives its place in the pool up, where there is a pool.
    Sync(Option<Places>),
    /// It gives way at every tick, and wherever an import waits.
    Async,
}

/// A fresh instance.
pub(crate) struct Guest {
    store: Store<CallState>,
    instance: Instance,
    lane: Lane,
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
            Ok(instance) => Ok(Self { store, instance, lane }),
            Err(error) => Err(of_trap(&error, store.data(), "instantiation")),
        }
    }

    /// Calls an export. After a trap the guest is of no more use.
    pub(crate) async fn call<P, R>(&mut self, export: &Export, params: P) -> Result<R, Failure>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let begun = Instant::now();
        let result = self.enter(export, params).await;
        export.seconds.record(begun.elapsed());
        result.map_err(|error| of_trap(&error, self.store.data(), export.name))
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

    /// What the call left.
    pub(crate) fn into_state(self) -> CallState {
        self.store.into_data()
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
