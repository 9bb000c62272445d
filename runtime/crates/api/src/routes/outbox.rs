//! Messages of the outbox: writing, publishing first, finding.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use wasaga_domain::{ids::SagaId, value_reader::ValueReader};
use wasaga_store::{
    emit::NewMessage,
    outbox_find::{FoundMessage, FoundMessages, WholeMessage},
    publish_first::Published,
};

use super::start::traceparent;
use crate::{
    AppState, Decoded,
    body::JsonBody,
    error::{ApiError, Misfit},
    query::{Mode, Sought},
};

/// How many messages a page has where the caller does not say.
const PAGE: usize = 50;

/// A page of messages.
#[derive(Serialize)]
pub struct MessagesView {
    events: Vec<MessageView>,
    /// `after` of the next page; null: this is the last one.
    next: Option<i64>,
}

/// A message, without what it carries.
#[derive(Serialize)]
struct MessageView {
    id: i64,
    message_id: String,
    status: &'static str,
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saga_id: Option<SagaId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    attempts: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    created_at: String,
    finished_at: Option<String>,
}

/// A message with what it carries; its members are named as those that were written.
#[derive(Serialize)]
pub struct WholeView {
    #[serde(flatten)]
    found: MessageView,
    headers: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_bytes: Option<String>,
    #[serde(flatten)]
    decoded: Decoded,
}

/// POST /api/v1/events
pub(crate) async fn write(State(shared): AppState, request: Request) -> Result<Response, ApiError> {
    let mode = Mode::read(request.uri())?;
    let trace = traceparent(request.headers());
    let body = JsonBody::required(request, shared.body_limit).await?;
    let traced = |message: NewMessage| NewMessage {
        traceparent: message.traceparent.or_else(|| trace.clone()),
        ..message
    };
    if body.value.is_array() {
        if mode == Mode::PublishFirst {
            let one = "publish-first takes one message, and not an array";
            return Err(ApiError::Invalid(vec![Misfit::new("", one)]));
        }
        let messages: Vec<NewMessage> = parsed(&body)?;
        let messages: Vec<_> = messages.into_iter().map(traced).collect();
        let ids = shared.messages.emit(&messages).await?;
        return Ok((StatusCode::CREATED, Json(json!({ "ids": ids }))).into_response());
    }
    let message = traced(parsed(&body)?);
    let published = match mode {
        Mode::PublishFirst => shared.messages.publish(&message).await?,
        Mode::Store => {
            let ids = shared.messages.emit(std::slice::from_ref(&message)).await?;
            Published::Stored { id: ids.first().copied().unwrap_or_default() }
        }
    };
    let (id, status, answer) = match published {
        Published::Published { id, partition, offset } => (
            id,
            StatusCode::CREATED,
            json!({ "id": id, "status": "published", "partition": partition, "offset": offset }),
        ),
        Published::Stored { id } => {
            (id, StatusCode::CREATED, json!({ "id": id, "status": "stored" }))
        }
        Published::Known { id } => (id, StatusCode::OK, json!({ "id": id, "status": "known" })),
    };
    let place = [(header::LOCATION, format!("/api/v1/events/{id}"))];
    Ok((status, place, Json(answer)).into_response())
}

/// GET /api/v1/events
pub(crate) async fn find(
    State(shared): AppState,
    uri: Uri,
) -> Result<Json<MessagesView>, ApiError> {
    let Sought { filter, after, limit } = Sought::read(&uri)?;
    let page = shared.messages.find(&filter, after, limit.unwrap_or(PAGE)).await?;
    Ok(Json(MessagesView::from(page)))
}

/// GET /api/v1/events/{id}
pub(crate) async fn message(
    State(shared): AppState,
    Path(id): Path<String>,
) -> Result<Json<WholeView>, ApiError> {
    let unknown = || ApiError::UnknownEvent(id.clone());
    let number = id.parse().map_err(|_| unknown())?;
    let message = shared.messages.message(number).await?.ok_or_else(unknown)?;
    Ok(Json(WholeView::of(message, &*shared.values).await))
}

fn parsed<T: DeserializeOwned>(body: &JsonBody) -> Result<T, ApiError> {
    serde_json::from_slice(&body.bytes).map_err(|error| {
        let detail = format!("the body must be a message, or an array of messages: {error}");
        ApiError::Invalid(vec![Misfit::new("", detail)])
    })
}

impl From<FoundMessages> for MessagesView {
    fn from(page: FoundMessages) -> Self {
        let FoundMessages { messages, next } = page;
        Self { events: messages.into_iter().map(MessageView::from).collect(), next }
    }
}

impl From<FoundMessage> for MessageView {
    fn from(message: FoundMessage) -> Self {
        let (key, key_bytes) = match message.key.map(String::from_utf8) {
            None => (None, None),
            Some(Ok(text)) => (Some(text), None),
            Some(Err(error)) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Self {
            id: message.id,
            message_id: message.message_id.to_string(),
            status: message.status.as_str(),
            topic: message.topic,
            key,
            key_bytes,
            saga_id: message.saga_id,
            idempotency_key: message.idempotency_key,
            aggregate_id: message.aggregate_id,
            event_type: message.event_type,
            attempts: message.attempts,
            error: message.error,
            created_at: message.created_at.to_string(),
            finished_at: message.finished_at.map(|at| at.to_string()),
        }
    }
}

impl WholeView {
    /// A message with what it carries.
    pub async fn of(message: WholeMessage, values: &dyn ValueReader) -> Self {
        let WholeMessage { found, headers, value } = message;
        let decoded = Decoded::of(values, &found.topic, value.as_deref()).await;
        let value = value.unwrap_or_default();
        let payload = serde_json::from_slice(&value).ok();
        let is_bytes = payload.is_none() && !value.is_empty();
        let payload_bytes = is_bytes.then(|| STANDARD.encode(&value));
        Self { found: MessageView::from(found), headers, payload, payload_bytes, decoded }
    }
}
