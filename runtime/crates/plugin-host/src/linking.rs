//! What components import, linked: everything the contract has is always there, and what is not granted denies.
//!
//! There are two linkers. Guests that are granted `sql`, the event store or HTTP may wait and so run asynchronously; all
//! others run synchronously, which is cheaper, and theirs answers all of these with a denial.

use wasmtime::{
    Engine, StoreContextMut,
    component::{Component, HasSelf, InstancePre, Linker},
};

use crate::{
    access::Access,
    bindings::wasaga::plugin::{
        ambient, config, context,
        event_store::{self, Event, Snapshot, StoredEvent},
        http::{self, Request, Response},
        logging, sql, types,
    },
    event_store::denial as no_event_store,
    http::denial as no_http,
    sql::denial as no_sql,
    state::CallState,
};

/// What is to be done about a component that does not fit.
pub(crate) const FITTING: &str =
    "build it for world saga-plugin or task-plugin of wasaga:plugin@0.1.0";

/// The linkers of a host.
pub(crate) struct Linkers {
    at_once: Linker<CallState>,
    waiting: Linker<CallState>,
}

impl Linkers {
    /// Both linkers.
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut at_once = common(engine)?;
        wasmtime_wasi::p2::add_to_linker_sync(&mut at_once)?;
        refuse_to_sleep(&mut at_once)?;
        deny_waiting(&mut at_once)?;

        let mut waiting = common(engine)?;
        wasmtime_wasi::p2::add_to_linker_async(&mut waiting)?;
        refuse_to_sleep(&mut waiting)?;
        sql::add_to_linker::<_, HasSelf<_>>(&mut waiting, |state| state)?;
        event_store::add_to_linker::<_, HasSelf<_>>(&mut waiting, |state| state)?;
        http::add_to_linker::<_, HasSelf<_>>(&mut waiting, |state| state)?;
        Ok(Self { at_once, waiting })
    }

    /// The component with its imports, or what about them does not fit.
    pub(crate) fn link(
        &self,
        component: &Component,
        waits: bool,
    ) -> Result<InstancePre<CallState>, String> {
        let offered = |name: &str| name.starts_with("wasaga:plugin/") || name.starts_with("wasi:");
        for (name, _) in component.component_type().imports(component.engine()) {
            if !offered(name) {
                return Err(not_offered(name));
            }
        }
        let linker = if waits { &self.waiting } else { &self.at_once };
        linker.instantiate_pre(component).map_err(|error| {
            let error = format!("{error:#}");
            // wasmtime names the import it did not find between backquotes.
            match error.split('`').nth(1).filter(|_| error.contains("was not found")) {
                Some(name) => not_offered(name),
                None => format!("component's imports do not fit ({error}): {FITTING}"),
            }
        })
    }
}

fn not_offered(import: &str) -> String {
    format!("component imports {import}, which wasaga does not offer: {FITTING}")
}

fn common(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    context::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    logging::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    config::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    ambient::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// A guest that slept would outlive its deadline, which only ends code that runs: sleeping traps.
fn refuse_to_sleep(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    for function in ["poll", "[method]pollable.block"] {
        poll.func_new(function, |_, _, _, _| {
            Err(wasmtime::Error::msg("a plugin may not sleep: return a wait with a time-out"))
        })?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

type Statement = (String, Vec<sql::Value>);
type Loaded = (Option<Snapshot>, Vec<StoredEvent>);
type State<'a> = StoreContextMut<'a, CallState>;

fn deny_waiting(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut denied = linker.instance("wasaga:plugin/sql@0.1.0")?;
    let no = |store: State<'_>| denial(store, no_sql);
    denied.func_wrap("query", move |s, _: Statement| Ok((Err::<sql::Rows, _>(no(s)?),)))?;
    denied.func_wrap("execute", move |s, _: Statement| Ok((Err::<u64, _>(no(s)?),)))?;

    let mut denied = linker.instance("wasaga:plugin/event-store@0.1.0")?;
    let no = |store: State<'_>| denial(store, no_event_store);
    denied.func_wrap("load", move |s, _: (String,)| Ok((Err::<Loaded, _>(no(s)?),)))?;
    denied
        .func_wrap("append", move |s, _: (String, u64, Vec<Event>)| Ok((Err::<u64, _>(no(s)?),)))?;
    denied
        .func_wrap("save-snapshot", move |s, _: (String, Snapshot)| Ok((Err::<(), _>(no(s)?),)))?;

    let mut denied = linker.instance("wasaga:plugin/http@0.1.0")?;
    let no = |store: State<'_>| denial(store, no_http);
    denied.func_wrap("send", move |s, _: (Request,)| Ok((Err::<Response, _>(no(s)?),)))?;
    Ok(())
}

fn denial<E>(mut store: State<'_>, of: fn(&Access) -> E) -> wasmtime::Result<E> {
    store.data_mut().called()?;
    Ok(of(&store.data().access))
}
