//! What is measured of each request.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};

/// Counts the request and its time as `wasaga_http_request_seconds`, by method, route and status. Paths of HTTP
/// triggers and unknown ones stand as `other`: a label must not be the caller's to choose.
pub(crate) async fn measure(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let (took, status) = (began.elapsed(), response.status());
    tracing::debug!(%method, path, status = status.as_u16(), ?took, "answered");
    let method = match method.as_str() {
        known @ ("GET" | "POST" | "HEAD" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known,
        _ => "other",
    }
    .to_owned();
    metrics::histogram!(
        "wasaga_http_request_seconds",
        "method" => method, "route" => route, "status" => status.as_u16().to_string()
    )
    .record(took);
    response
}
