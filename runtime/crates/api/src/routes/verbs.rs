//! What an operator may ask of a saga. Each request is answered with the saga's status from before, and stands in its
//! history with who asked and why.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use wasaga_domain::{
    ids::{Digest, SagaId},
    mail::{Audit, Verb},
    payload::Payload,
    state::Status,
};

use crate::{
    ApiState, AppState,
    body::JsonBody,
    error::{ApiError, Misfit},
    routes::saga_id,
};

/// How many characters a reason, and whoever gives it, has at most.
const TEXT_LENGTH: usize = 1000;

/// The body, which may be left out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    reason: Option<String>,
    by: Option<String>,
    undo: Option<Value>,
    module: Option<Digest>,
}

/// POST /api/v1/sagas/{id}/cancel, pause, resume or resolve
pub(crate) async fn saga(
    State(shared): AppState,
    Path((id, verb)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = saga_id(&id)?;
    let verb = match verb.as_str() {
        "cancel" => Verb::Cancel,
        "pause" => Verb::Pause,
        "resume" => Verb::Resume,
        "resolve" => Verb::Resolve,
        _ => return Err(ApiError::UnknownRoute(request.uri().path().to_owned())),
    };
    let by = Ask::read(&shared, request).await?.audit(&verb)?;
    post(&shared, id, &verb, &by).await
}

/// POST /api/v1/sagas/{id}/steps/{step}/retry, skip or supply-undo
pub(crate) async fn step(
    State(shared): AppState,
    Path((id, step, verb)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = saga_id(&id)?;
    let path = request.uri().path().to_owned();
    let mut ask = Ask::read(&shared, request).await?;
    let read = |error| ApiError::of_saga(error, id, "read");
    let known = shared.sagas.saga(id).await.map_err(read)?.steps;
    if !known.is_empty() && !known.contains(&step) {
        return Err(ApiError::UnknownStep { saga: id, step, known });
    }
    let module = if verb == "retry" { ask.module.take() } else { None };
    let verb = match (verb.as_str(), ask.undo.take()) {
        ("retry", None) => Verb::Retry { step, module },
        ("skip", None) => Verb::Skip { step },
        ("supply-undo", Some(undo)) => {
            Verb::SupplyUndo { step, undo: Payload::json(undo.to_string()) }
        }
        ("supply-undo", None) => {
            return Err(misfit("/undo", "must be there: what the step's undo is told from now on"));
        }
        ("retry" | "skip", Some(_)) => return Err(misfit("/undo", "only supply-undo takes it")),
        _ => return Err(ApiError::UnknownRoute(path)),
    };
    let by = ask.audit(&verb)?;
    post(&shared, id, &verb, &by).await
}

/// POST /api/v1/sagas/{id}/signals/{name}: the body is what the signal carries.
pub(crate) async fn signal(
    State(shared): AppState,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = saga_id(&id)?;
    if name.contains('\0') {
        return Err(misfit("/name", "a signal's name must not contain NUL"));
    }
    check_text("/name", &name)?;
    let body = JsonBody::optional(request, shared.body_limit).await?;
    let payload = Payload::json(body.map_or_else(|| "null".into(), |body| body.bytes));
    let sent = shared.sagas.signal(id, &name, &payload).await;
    let status = sent.map_err(|error| ApiError::of_saga(error, id, "signal"))?;
    Ok(accepted(id, status))
}

async fn post(
    shared: &ApiState,
    id: SagaId,
    verb: &Verb,
    by: &Audit,
) -> Result<Response, ApiError> {
    let asked = shared.sagas.ask(id, verb, by).await;
    let status = asked.map_err(|error| ApiError::of_saga(error, id, verb.name()))?;
    Ok(accepted(id, status))
}

fn accepted(id: SagaId, status: Status) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "saga_id": id, "status": status }))).into_response()
}

impl Ask {
    pub(super) async fn read(shared: &ApiState, request: Request) -> Result<Self, ApiError> {
        let Some(body) = JsonBody::optional(request, shared.body_limit).await? else {
            return Ok(Self::default());
        };
        serde_json::from_value(body.value).map_err(|error| {
            ApiError::Malformed(format!(
                "the body must be {{reason?, by?, undo?, module?}}: {error}"
            ))
        })
    }

    /// Who asks, and why; `undo` and `module` were taken where the verb needs them.
    pub(super) fn audit(self, verb: &Verb) -> Result<Audit, ApiError> {
        let Self { reason, by, undo, module } = self;
        if module.is_some() {
            return Err(misfit("/module", "only the retry of a step takes it"));
        }
        if undo.is_some() {
            return Err(misfit("/undo", "only supply-undo takes it"));
        }
        audit_of(verb.name(), reason, by)
    }
}

/// Who asks, and why.
pub(super) fn audit_of(
    verb: &str,
    reason: Option<String>,
    by: Option<String>,
) -> Result<Audit, ApiError> {
    let reason = reason.unwrap_or_else(|| format!("{verb} over the API"));
    check_text("/reason", &reason)?;
    by.as_deref().map_or(Ok(()), |by| check_text("/by", by))?;
    Ok(Audit { by, reason })
}

fn check_text(pointer: &str, text: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(misfit(
            pointer,
            "must not have the character U+0000, which Postgres can't store",
        ));
    }
    if text.chars().count() > TEXT_LENGTH {
        return Err(misfit(pointer, &format!("must have at most {TEXT_LENGTH} characters")));
    }
    Ok(())
}

pub(super) fn misfit(pointer: &str, detail: &str) -> ApiError {
    ApiError::Invalid(vec![Misfit::new(pointer, detail)])
}
