//! Reading a saga and its history.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use serde_json::value::RawValue;
use wasaga_domain::{attempt::Direction, ids::SagaId, journal::EntryKind, state::Status};
use wasaga_store::saga_read::{JournalRow, SagaRow};

use crate::{
    AppState, Shared,
    error::ApiError,
    history::{Event, Item, history as items},
    payload::{ErrorView, to_json},
    routes::saga_id,
};

/// A saga as it stands.
#[derive(Serialize)]
pub(crate) struct SagaView {
    saga_id: SagaId,
    definition: String,
    version: u32,
    business_key: Option<String>,
    status: Status,
    current_step: Option<String>,
    context: Box<RawValue>,
    outputs: BTreeMap<String, Box<RawValue>>,
    steps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
    created_at: String,
    updated_at: String,
}

/// What happened to a saga.
#[derive(Serialize)]
pub(crate) struct HistoryView {
    saga_id: SagaId,
    status: Status,
    history: Vec<Item>,
    events: Vec<Event>,
}

/// GET /api/v1/sagas/{id}
pub(crate) async fn saga(
    State(shared): AppState,
    Path(id): Path<String>,
) -> Result<Json<SagaView>, ApiError> {
    let (saga, journal) = read(&shared, &id).await?;
    let outputs = journal.iter().filter_map(|entry| {
        let forward = entry.direction == Direction::Forward && entry.kind == EntryKind::Succeeded;
        let output = entry.output.as_ref().filter(|_| forward)?;
        Some((entry.step.clone()?, to_json(output)))
    });
    let error = saga.state.attention.as_ref().or(saga.state.cause());
    let open = saga.state.open.first();
    Ok(Json(SagaView {
        saga_id: saga.id,
        status: saga.status,
        current_step: open.and_then(|open| saga.steps.get(usize::from(open.step)).cloned()),
        context: to_json(&saga.input),
        outputs: outputs.collect(),
        error: error.map(ErrorView::from),
        created_at: saga.created_at.to_string(),
        updated_at: saga.updated_at.to_string(),
        definition: saga.definition,
        version: saga.version,
        business_key: saga.business_key,
        steps: saga.steps,
    }))
}

/// GET /api/v1/sagas/{id}/history
pub(crate) async fn history(
    State(shared): AppState,
    Path(id): Path<String>,
) -> Result<Json<HistoryView>, ApiError> {
    let (saga, journal) = read(&shared, &id).await?;
    Ok(Json(HistoryView {
        saga_id: saga.id,
        status: saga.status,
        history: items(&saga, &journal),
        events: journal.iter().map(Event::from).collect(),
    }))
}

/// A saga, and its journal as of the same moment.
async fn read(shared: &Shared, id: &str) -> Result<(SagaRow, Vec<JournalRow>), ApiError> {
    let id = saga_id(id)?;
    let failed = |error| ApiError::of_saga(error, id, "read");
    let mut saga = shared.api.sagas.saga(id).await.map_err(failed)?;
    let mut journal = shared.api.sagas.journal(id).await.map_err(failed)?;
    journal.retain(|entry| entry.number <= saga.sequence);
    if saga.steps.is_empty() {
        let catalog = shared.api.plugins.catalog();
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
