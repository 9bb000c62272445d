//! Reading a saga and its history.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use wasaga_domain::{attempt::Direction, ids::SagaId, journal::EntryKind, state::Status};
use wasaga_store::saga_read::{JournalRow, SagaRow};

use crate::{
    ApiState, AppState,
    error::ApiError,
    history::{Event, Item, history as items},
    payload::{ErrorView, to_json},
    routes::saga_id,
};

/// A saga as it stands.
#[derive(Serialize)]
pub struct SagaView {
    saga_id: SagaId,
    definition: String,
    version: u32,
    business_key: Option<String>,
    status: Status,
    current_step: Option<String>,
    context: Box<RawValue>,
    outputs: BTreeMap<String, Box<RawValue>>,
    steps: Vec<String>,
    /// What its last step returned, once it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
    /// Why it is undone, where `error` is why it asks for an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<ErrorView>,
    /// Undos that gave up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    undo_errors: Vec<UndoError>,
    created_at: String,
    updated_at: String,
    /// It ended long ago, and was moved to the archive.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

/// An undo that gave up.
#[derive(Serialize)]
struct UndoError {
    step: String,
    attempt: u32,
    error: ErrorView,
}

/// What happened to a saga.
#[derive(Serialize)]
pub struct HistoryView {
    saga_id: SagaId,
    status: Status,
    history: Vec<Item>,
    events: Vec<Event>,
    /// It ended long ago, and was moved to the archive.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

/// GET /api/v1/sagas/{id}
pub(crate) async fn saga(
    State(shared): AppState,
    Path(id): Path<String>,
) -> Result<Json<SagaView>, ApiError> {
    let (saga, journal) = read(&shared, saga_id(&id)?).await?;
    Ok(Json(SagaView::of(saga, &journal)))
}

impl SagaView {
    /// A saga with its journal.
    pub fn of(saga: SagaRow, journal: &[JournalRow]) -> Self {
        let done = journal.iter().filter_map(|entry| {
            let forward =
                entry.direction == Direction::Forward && entry.kind == EntryKind::Succeeded;
            let output = entry.output.as_ref().filter(|_| forward)?;
            Some((entry.step.clone()?, to_json(output)))
        });
        let done: Vec<_> = done.collect();
        let completed = saga.status == Status::Completed;
        let undo_errors = journal.iter().filter_map(|entry| {
            let gave_up = entry.direction == Direction::Undo && entry.kind == EntryKind::Failed;
            let error = entry.error.as_ref().filter(|_| gave_up)?;
            let step = entry.step.clone()?;
            Some(UndoError { step, attempt: entry.attempt, error: error.into() })
        });
        let (attention, cause) = (saga.state.attention.as_ref(), saga.state.cause());
        let open = saga.state.open.first();
        Self {
            saga_id: saga.id,
            status: saga.status,
            current_step: open.and_then(|open| saga.steps.get(usize::from(open.step)).cloned()),
            context: to_json(&saga.input),
            output: done.last().filter(|_| completed).map(|(_, output)| output.clone()),
            outputs: done.into_iter().collect(),
            error: attention.or(cause).map(ErrorView::from),
            cause: attention.and(cause).map(ErrorView::from),
            undo_errors: undo_errors.collect(),
            created_at: saga.created_at.to_string(),
            updated_at: saga.updated_at.to_string(),
            archived: saga.archived,
            definition: saga.definition,
            version: saga.version,
            business_key: saga.business_key,
            steps: saga.steps,
        }
    }

    /// Its fields, and what its caller calls its key, unless that is a field's name.
    pub(super) fn known_as(&self, key_name: &str, key: &Value) -> BTreeMap<String, Box<RawValue>> {
        let raw = to_raw_value(self).expect("a saga's view is JSON");
        let mut fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(raw.get()).expect("a saga's view is a JSON object");
        let key = to_raw_value(key).expect("a key is JSON");
        fields.entry(key_name.to_owned()).or_insert(key);
        fields
    }
}

/// GET /api/v1/sagas/{id}/history
pub(crate) async fn history(
    State(shared): AppState,
    Path(id): Path<String>,
) -> Result<Json<HistoryView>, ApiError> {
    let (saga, journal) = read(&shared, saga_id(&id)?).await?;
    Ok(Json(HistoryView::of(&saga, &journal)))
}

impl HistoryView {
    /// A saga's journal, told.
    pub fn of(saga: &SagaRow, journal: &[JournalRow]) -> Self {
        Self {
            saga_id: saga.id,
            status: saga.status,
            history: items(saga, journal),
            events: journal.iter().map(Event::from).collect(),
            archived: saga.archived,
        }
    }
}

/// A saga, and its journal as of the same moment.
pub(super) async fn read(
    shared: &ApiState,
    id: SagaId,
) -> Result<(SagaRow, Vec<JournalRow>), ApiError> {
    let failed = |error| ApiError::of_saga(error, id, "read");
    let mut saga = shared.sagas.saga(id).await.map_err(failed)?;
    let mut journal = shared.sagas.journal(id).await.map_err(failed)?;
    journal.retain(|entry| entry.number <= saga.sequence);
    if saga.steps.is_empty() {
        let catalog = shared.plugins.catalog();
        let active = catalog.definitions.get(saga.definition.as_str());
        let active = active.filter(|active| active.definition.version == saga.version);
        saga.steps = active
            .iter()
            .flat_map(|active| &active.definition.steps)
            .map(|step| step.name.to_string())
            .collect();
    }
    Ok((saga, journal))
}
