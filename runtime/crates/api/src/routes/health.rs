//! Whether the host lives, whether it can work, and what it counted.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, json};

use crate::AppState;

/// GET /healthz: 200 as long as the process answers.
pub(crate) async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// GET /readyz: 200 when everything the host needs is there, else 503; with each thing's state and reason.
pub(crate) async fn readyz(State(shared): AppState) -> Response {
    let checks = shared.probe.check().await;
    let ready = checks.iter().all(|check| check.ready);
    let checks: Map<_, _> = checks
        .into_iter()
        .map(|check| {
            let status = if check.ready { "ready" } else { "not_ready" };
            let state = match check.reason {
                Some(reason) => json!({ "status": status, "reason": reason }),
                None => json!({ "status": status }),
            };
            (check.name.to_owned(), state)
        })
        .collect();
    let (code, status) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    (code, Json(json!({ "status": status, "checks": checks }))).into_response()
}

/// GET /metrics, in Prometheus's text format.
pub(crate) async fn metrics(State(shared): AppState) -> Response {
    let text = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([text], shared.metrics.render()).into_response()
}
