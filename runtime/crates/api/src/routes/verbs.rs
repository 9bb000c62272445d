//! What an operator may ask of a saga.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    AppState, Shared,
    body::JsonBody,
    error::{ApiError, Misfit},
    routes::saga_id,
};

/// How many characters a reason has at most.
const REASON_LENGTH: usize = 1000;

/// The body, which may be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    reason: Option<String>,
}

/// POST /api/v1/sagas/{id}/cancel
pub(crate) async fn cancel(
    State(shared): AppState,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = saga_id(&id)?;
    let reason = reason(&shared, request).await?.unwrap_or("cancelled over the API".into());
    let asked = shared.api.sagas.cancel(id, &reason).await;
    let status = asked.map_err(|error| ApiError::of_saga(error, id, "cancel"))?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "saga_id": id, "status": status }))).into_response())
}

/// POST /api/v1/sagas/{id}/resume
pub(crate) async fn resume(
    State(shared): AppState,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = saga_id(&id)?;
    let reason = reason(&shared, request).await?.unwrap_or("resumed over the API".into());
    let asked = shared.api.sagas.resume(id, &reason).await;
    let status = asked.map_err(|error| ApiError::of_saga(error, id, "resume"))?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "saga_id": id, "status": status }))).into_response())
}

async fn reason(shared: &Shared, request: Request) -> Result<Option<String>, ApiError> {
    let Some(body) = JsonBody::optional(request, shared.api.body_limit).await? else {
        return Ok(None);
    };
    let Ask { reason } = serde_json::from_value(body.value)
        .map_err(|error| ApiError::Malformed(format!("the body must be {{reason?}}: {error}")))?;
    match &reason {
        Some(reason) if reason.chars().count() > REASON_LENGTH => {
            let detail = format!("must have at most {REASON_LENGTH} characters");
            Err(ApiError::Invalid(vec![Misfit::new("/reason", detail)]))
        }
        _ => Ok(reason),
    }
}
