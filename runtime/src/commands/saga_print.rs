//! Sagas as tables, for a reader.

use serde::Serialize;
use serde_json::Value;
use wasaga_domain::attempt::Direction;
use wasaga_store::{
    saga_read::JournalRow,
    saga_search::{FoundSaga, Page},
};

use super::table;

/// The fields of a saga, in the order in which they are read.
const FIELDS: [&str; 15] = [
    "saga_id",
    "definition",
    "version",
    "business_key",
    "status",
    "current_step",
    "error",
    "cause",
    "undo_errors",
    "output",
    "outputs",
    "context",
    "steps",
    "created_at",
    "updated_at",
];

pub(super) fn page(page: &Page) {
    let titles = ["SAGA", "DEFINITION", "KEY", "STATUS", "STEP", "CREATED", "UPDATED"];
    let row = |saga: &FoundSaga| {
        let open = saga.state.open.first();
        let step = open.and_then(|open| saga.steps.get(usize::from(open.step)).cloned());
        [
            saga.id.to_string(),
            format!("{} {}", saga.definition, saga.version),
            or_dash(saga.business_key.clone()),
            saga.status.as_str().to_owned(),
            or_dash(step),
            saga.created_at.to_string(),
            saga.updated_at.to_string(),
        ]
    };
    table::print(titles, page.sagas.iter().map(row));
    if let Some(next) = page.next {
        println!("more: --after {next}");
    }
}

pub(super) fn saga(view: &impl Serialize) -> anyhow::Result<()> {
    let view = serde_json::to_value(view)?;
    let row = |field: &str| {
        let text = match view.get(field)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some([field.to_owned(), text])
    };
    table::print(["FIELD", "VALUE"], FIELDS.into_iter().filter_map(row));
    Ok(())
}

pub(super) fn history(journal: &[JournalRow]) {
    let titles = ["#", "AT", "WHAT", "STEP", "DIRECTION", "ATTEMPT", "BY", "WHY"];
    let row = |entry: &JournalRow| {
        let why = entry.error.as_ref();
        [
            entry.number.to_string(),
            entry.at.to_string(),
            entry.kind.as_str().to_owned(),
            or_dash(entry.step.clone()),
            if entry.direction == Direction::Forward { "forward" } else { "undo" }.to_owned(),
            entry.attempt.to_string(),
            or_dash(entry.by.clone()),
            or_dash(why.map(|why| format!("{}: {}", why.code, why.message))),
        ]
    };
    table::print(titles, journal.iter().map(row));
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}
