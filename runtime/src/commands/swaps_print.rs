//! Plugins and their changes as tables, for a reader.

use wasaga_store::{
    activation_history::{HistoryEntry, ModuleState, PluginState},
    steps_needed::{TouchedCount, TouchedPage, TouchedSaga},
};

use super::table;

pub(super) fn list(plugins: &[PluginState]) {
    let titles = ["PLUGIN", "VERSION", "DIGEST", "CANARY", "UNDO"];
    let row = |plugin: &PluginState| {
        let canary = plugin
            .canary
            .as_ref()
            .map(|canary| format!("{} ({} %)", named(&canary.module), canary.plan["percent"]));
        let none = || "-".to_owned();
        [
            plugin.plugin.clone(),
            plugin.active.version.clone(),
            plugin.active.digest.clone(),
            canary.unwrap_or_else(none),
            plugin.undo.as_ref().map_or_else(none, named),
        ]
    };
    table::print(titles, plugins.iter().map(row));
}

pub(super) fn history(state: &PluginState) {
    list(std::slice::from_ref(state));
    if let Some(canary) = &state.canary {
        let figures = &canary.figures;
        println!(
            "canary: {} of {} calls failed; of the active module's {} of {}",
            figures["failures"],
            figures["calls"],
            figures["active_failures"],
            figures["active_calls"]
        );
    }
    println!("a rollback goes to: {}", state.before.as_deref().unwrap_or("nothing"));
    println!();
    let titles = ["AT", "WHAT", "VERSION", "DIGEST", "BY", "REASON"];
    let row = |entry: &HistoryEntry| {
        let forced = if entry.forced { " (forced)" } else { "" };
        [
            entry.at.clone(),
            format!("{}{forced}", entry.what),
            entry.version.clone(),
            entry.digest.clone(),
            entry.by.clone().unwrap_or_else(|| "-".into()),
            entry.reason.clone(),
        ]
    };
    table::print(titles, state.history.iter().map(row));
}

pub(super) fn sagas(counts: &[TouchedCount], page: &TouchedPage) {
    let titles = ["DEFINITION", "VERSION", "STATUS", "SAGAS", "LACKING"];
    let row = |count: &TouchedCount| {
        [
            count.definition.clone(),
            count.version.to_string(),
            count.status.clone(),
            count.sagas.to_string(),
            count.lacking.to_string(),
        ]
    };
    table::print(titles, counts.iter().map(row));
    println!();
    let titles = ["SAGA", "DEFINITION", "VERSION", "STATUS", "STEP", "NEEDS", "MISSES"];
    let row = |saga: &TouchedSaga| {
        [
            saga.saga_id.to_string(),
            saga.definition.clone(),
            saga.version.to_string(),
            saga.status.clone(),
            saga.current.join(","),
            saga.needed.join(","),
            saga.missing.join(","),
        ]
    };
    table::print(titles, page.sagas.iter().map(row));
    if let Some(next) = page.next {
        println!("more: --after {next}");
    }
}

fn named(module: &ModuleState) -> String {
    format!("{} {}", module.version, module.digest)
}
