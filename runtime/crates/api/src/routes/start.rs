//! Starting sagas: by the path of a definition's HTTP trigger, or by its name; and waiting for their ends.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use wasaga_domain::{definition::Definition, payload::Payload, state::Status};

use crate::{
    ApiState, AppState,
    body::JsonBody,
    error::ApiError,
    input::{check_input, check_key, keyed},
    ports::{SagasError, StartSaga, Started},
    query::wait,
    routes::saga::{SagaView, read},
};

/// The answer's message where the trigger names none.
const MESSAGE: &str = "Saga started";

/// POST on the path of an active definition's HTTP trigger.
pub(crate) async fn trigger(
    State(shared): AppState,
    request: Request,
) -> Result<Response, ApiError> {
    let path = request.uri().path().to_owned();
    let catalog = shared.plugins.catalog();
    let (active, http) =
        catalog.http_trigger(&path).ok_or_else(|| ApiError::UnknownRoute(path.clone()))?;
    if request.method() != Method::POST {
        return Err(ApiError::WrongMethod(Some("POST")));
    }
    let (wait, traceparent) = (wait(request.uri())?, traceparent(request.headers()));
    let body = JsonBody::required(request, shared.body_limit).await?;
    let (key, input, payload) = keyed(body, &http.key_name)?;
    let run = Run {
        definition: &active.definition,
        key: Some((&http.key_name, &key)),
        input: &input,
        pointer: "",
        traceparent,
    };
    let started = run.start(&shared, payload).await?;
    let message = http.message.as_deref().unwrap_or(MESSAGE);
    Ok(answer(&shared, started, wait, (&http.key_name, json!(key)), Some(message)).await)
}

/// The body of [`start`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start<'a> {
    definition: String,
    version: Option<u32>,
    business_key: Option<String>,
    #[serde(borrow)]
    input: &'a RawValue,
}

/// POST /api/v1/sagas
pub(crate) async fn start(State(shared): AppState, request: Request) -> Result<Response, ApiError> {
    let (wait, traceparent) = (wait(request.uri())?, traceparent(request.headers()));
    let body = JsonBody::required(request, shared.body_limit).await?;
    let Start { definition: name, version, business_key, input: raw } =
        serde_json::from_slice(&body.bytes).map_err(|error| {
            ApiError::Malformed(format!(
                "the body must be {{definition, version?, business_key?, input}}: {error}"
            ))
        })?;
    let catalog = shared.plugins.catalog();
    let Some(active) = catalog.definitions.get(name.as_str()) else {
        let known = catalog.definitions.keys().map(ToString::to_string).collect();
        return Err(ApiError::UnknownDefinition(name, known));
    };
    let definition = &active.definition;
    if let Some(asked) = version.filter(|&asked| asked != definition.version) {
        return Err(ApiError::InactiveVersion { name, asked, active: definition.version });
    }
    if let Some(key) = &business_key {
        check_key(key, "/business_key")?;
    }
    let run = Run {
        definition,
        key: business_key.as_deref().map(|key| ("business_key", key)),
        input: &body.value["input"],
        pointer: "/input",
        traceparent,
    };
    let started = run.start(&shared, Payload::json(raw.get().to_owned())).await?;
    Ok(answer(&shared, started, wait, ("business_key", json!(business_key)), None).await)
}

/// The saga's end, where the caller waits and it comes in time; else that it was started.
async fn answer(
    shared: &ApiState,
    started: Started,
    wait: Option<Duration>,
    (key_name, key): (&str, Value),
    message: Option<&str>,
) -> Response {
    let Started { saga_id, mut status, .. } = started;
    if let Some(within) = wait {
        if !status.is_final() {
            shared.ends.wait(saga_id, within).await;
        }
        // It was started, whether it can be read or not.
        if let Ok((saga, journal)) = read(shared, saga_id).await {
            status = saga.status;
            if status.is_final() || status == Status::NeedsAttention {
                return Json(SagaView::of(saga, &journal).known_as(key_name, &key)).into_response();
            }
        }
    }
    let mut answer = Map::new();
    answer.insert(key_name.to_owned(), key);
    answer.insert("saga_id".into(), json!(saga_id));
    answer.insert("status".into(), json!(status));
    if let Some(message) = message {
        answer.insert("message".into(), json!(message));
    }
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

/// A run of a definition that was asked for.
struct Run<'a> {
    definition: &'a Arc<Definition>,
    /// The key, and how the caller calls it.
    key: Option<(&'a str, &'a str)>,
    input: &'a Value,
    /// Where in the body the input is.
    pointer: &'static str,
    traceparent: Option<String>,
}

impl Run<'_> {
    async fn start(self, shared: &ApiState, payload: Payload) -> Result<Started, ApiError> {
        check_input(self.definition, self.input, self.pointer)?;
        let sagas = &shared.sagas;
        let saga = StartSaga {
            definition: self.definition.clone(),
            business_key: self.key.map(|(_, key)| key.to_owned()),
            input: payload,
            traceparent: self.traceparent,
        };
        let started = sagas.start(saga).await.map_err(ApiError::of_many)?;
        // The first order of this key stands; a second one gets it as its answer only if it asked for the same.
        if let (false, Some((key_name, key))) = (started.same_input, self.key) {
            let is_same = match sagas.saga(started.saga_id).await {
                Ok(first) => serde_json::from_slice::<Value>(&first.input.data)
                    .is_ok_and(|first| first == *self.input),
                // Its tombstone compares JSON.
                Err(SagasError::Removed(_)) => false,
                Err(error) => return Err(ApiError::of_many(error)),
            };
            if !is_same {
                let (key_name, key) = (key_name.to_owned(), key.to_owned());
                return Err(ApiError::KeyTaken { key_name, key, saga: started.saga_id });
            }
        }
        Ok(started)
    }
}

/// The caller's trace context, if it is one of the kind we know.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let parts: Vec<_> = value.split('-').collect();
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let fits = parts.first() == Some(&"00")
        && parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.iter().all(|part| hex(part))
        && parts[1..3].iter().all(|part| part.bytes().any(|b| b != b'0'));
    fits.then(|| value.to_owned())
}
