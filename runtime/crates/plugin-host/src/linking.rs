//! What components import, linked: everything the contract has is always there, and what is not granted denies.
//!
//! There are two linkers. Guests that are granted `sql` wait for the database and so run asynchronously; all others run
//! synchronously, which is cheaper, and theirs answers `sql` with a denial.

use wasmtime::{
    Engine, StoreContextMut,
    component::{Component, HasSelf, InstancePre, Linker},
};

use crate::{
    bindings::wasaga::plugin::{ambient, config, context, event_store, http, logging, sql, types},
    state::CallState,
};

/// What is to be done about a component that does not fit.
pub(crate) const FITTING: &str =
    "build it for world saga-plugin or task-plugin of wasaga:plugin@0.1.0";

/// The linkers of a host.
pub(crate) struct Linkers {
    without_sql: Linker<CallState>,
    with_sql: Linker<CallState>,
}

impl Linkers {
    /// Both linkers.
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut without_sql = common(engine)?;
        wasmtime_wasi::p2::add_to_linker_sync(&mut without_sql)?;
        refuse_to_sleep(&mut without_sql)?;
        let mut denied = without_sql.instance("wasaga:plugin/sql@0.1.0")?;
        denied
            .func_wrap("query", |store, _: Statement| Ok((Err::<sql::Rows, _>(denial(&store)),)))?;
        denied.func_wrap("execute", |store, _: Statement| Ok((Err::<u64, _>(denial(&store)),)))?;

        let mut with_sql = common(engine)?;
        wasmtime_wasi::p2::add_to_linker_async(&mut with_sql)?;
        refuse_to_sleep(&mut with_sql)?;
        sql::add_to_linker::<_, HasSelf<_>>(&mut with_sql, |state| state)?;
        Ok(Self { without_sql, with_sql })
    }

    /// The component with its imports, or what about them does not fit.
    pub(crate) fn link(
        &self,
        component: &Component,
        sql: bool,
    ) -> Result<InstancePre<CallState>, String> {
        let offered = |name: &str| name.starts_with("wasaga:plugin/") || name.starts_with("wasi:");
        for (name, _) in component.component_type().imports(component.engine()) {
            if !offered(name) {
                return Err(not_offered(name));
            }
        }
        let linker = if sql { &self.with_sql } else { &self.without_sql };
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
    event_store::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    http::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
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

fn denial(store: &StoreContextMut<'_, CallState>) -> sql::Error {
    let name = store.data().access.name();
    sql::Error {
        code: "42501".into(),
        message: format!(
            "plugin {name} is not granted sql: ask for it in the manifest (capabilities.sql) and add \
             [plugins.{name}] grant.sql = true"
        ),
    }
}
