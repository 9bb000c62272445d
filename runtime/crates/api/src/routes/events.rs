//! Reading the event streams of plugins.

use axum::{
    Json,
    extract::{Path, State},
    http::Uri,
};
use serde::Serialize;
use serde_json::value::RawValue;
use wasaga_domain::ids::SagaId;
use wasaga_store::events_read::EventRow;

use crate::{AppState, error::ApiError, payload::to_json, query::Paging};

/// How many events a page has where the caller does not say: each may have 1 MiB.
const PAGE: usize = 50;

/// A page of a stream.
#[derive(Serialize)]
pub(crate) struct EventsView {
    plugin: String,
    stream: String,
    events: Vec<EventView>,
    /// `after` of the next page; null: this is the last one.
    next: Option<i64>,
}

#[derive(Serialize)]
struct EventView {
    version: i64,
    r#type: String,
    payload: Box<RawValue>,
    saga_id: Option<SagaId>,
    created_at: String,
}

/// GET /api/v1/plugins/{plugin}/streams/{stream}/events
pub(crate) async fn events(
    State(shared): AppState,
    Path((plugin, stream)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<EventsView>, ApiError> {
    let Paging { after, limit } = Paging::read(&uri)?;
    if plugin.contains('\0') || stream.contains('\0') {
        return Err(ApiError::UnknownRoute(uri.path().to_owned()));
    }
    let limit = limit.unwrap_or(PAGE);
    let events = shared.sagas.events(&plugin, &stream, after, limit + 1).await;
    let mut events = events.map_err(ApiError::of_many)?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|last| last.version);
    let events = events.into_iter().map(EventView::from).collect();
    Ok(Json(EventsView { plugin, stream, events, next }))
}

impl From<EventRow> for EventView {
    fn from(event: EventRow) -> Self {
        Self {
            version: event.version,
            r#type: event.event_type,
            payload: to_json(&event.payload),
            saga_id: event.saga,
            created_at: event.created_at.to_string(),
        }
    }
}
