//! The HTTP interface: routes, problem details, health and metrics. It decides nothing about sagas: [`ports`] is what
//! it asks of the host, and `app` builds the routes over it, so that tests call them without a port.
//!
//! To add a route: a handler in a file of `routes`, a line in [`app`], its refusals in `error`, a row in docs/api.md.

mod body;
mod decoded;
mod ends;
mod error;
mod history;
mod input;
mod letter;
mod payload;
pub mod ports;
mod query;
mod routes;
mod serve;
mod telemetry;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use metrics_exporter_prometheus::PrometheusHandle;
use wasaga_domain::value_reader::ValueReader;

use crate::ports::{DeadLetters, Messages, Plugins, Probe, Sagas};

pub use decoded::Decoded;
pub use ends::Ends;
pub use letter::{LetterPageView, LetterView};
pub use routes::{
    migrate::{MigrationView, Refusal},
    outbox::{MessagesView, WholeView},
    saga::{HistoryView, SagaView},
    search::PageView,
};
pub use serve::serve;

/// The default bound of a request's body, in bytes.
pub const BODY_LIMIT: usize = 1 << 20;

/// The bound of a component that is pushed, in bytes.
pub const MODULE_LIMIT: usize = 256 << 20;

/// What the routes stand on.
pub struct ApiState {
    /// Starts, asks and reads sagas.
    pub sagas: Arc<dyn Sagas>,
    /// Writes to the outbox, and looks into it.
    pub messages: Arc<dyn Messages>,
    /// Finds, mends and ends dead letters.
    pub letters: Arc<dyn DeadLetters>,
    /// Shows what values hold.
    pub values: Arc<dyn ValueReader>,
    /// Who waits for which saga's end.
    pub ends: Arc<Ends>,
    /// Which plugins run here, and which were refused.
    pub plugins: Arc<dyn Plugins>,
    /// What the host needs, and how that is.
    pub probe: Arc<dyn Probe>,
    /// What /metrics prints.
    pub metrics: PrometheusHandle,
    /// The bound of a request's body, in bytes.
    pub body_limit: usize,
}

type AppState = axum::extract::State<Arc<ApiState>>;

/// The routes. POST on the paths of active definitions' HTTP triggers is answered by the fallback, since those come
/// and go with plugins.
pub fn app(api: ApiState) -> Router {
    let body_limit = api.body_limit;
    Router::new()
        .route("/api/v1/sagas", get(routes::search::search).post(routes::start::start))
        .route("/api/v1/sagas/bulk/migrate", post(routes::migrate::migrate))
        .route("/api/v1/sagas/bulk/{verb}", post(routes::bulk::bulk))
        .route("/api/v1/sagas/{id}", get(routes::saga::saga))
        .route("/api/v1/sagas/{id}/history", get(routes::saga::history))
        .route("/api/v1/sagas/{id}/{verb}", post(routes::verbs::saga))
        .route("/api/v1/sagas/{id}/steps/{step}/{verb}", post(routes::verbs::step))
        .route("/api/v1/sagas/{id}/signals/{name}", post(routes::verbs::signal))
        .route("/api/v1/dead-letters/{flow}", get(routes::dead_letters::search))
        .route("/api/v1/dead-letters/{flow}/bulk/{verb}", post(routes::dead_letters::bulk))
        .route(
            "/api/v1/dead-letters/{flow}/{id}",
            get(routes::dead_letters::show).patch(routes::dead_letters::edit),
        )
        .route("/api/v1/dead-letters/{flow}/{id}/{verb}", post(routes::dead_letters::end))
        .route(
            "/api/v1/plugins",
            get(routes::plugins::plugins)
                .post(routes::swaps::push)
                .layer(DefaultBodyLimit::max(MODULE_LIMIT)),
        )
        .route("/api/v1/plugins/{plugin}", get(routes::plugins::plugin))
        .route("/api/v1/plugins/{plugin}/sagas", get(routes::plugins::sagas))
        .route("/api/v1/plugins/{plugin}/{verb}", post(routes::swaps::swap))
        .route("/api/v1/plugins/{plugin}/streams/{stream}/events", get(routes::events::events))
        .route("/api/v1/events", get(routes::outbox::find).post(routes::outbox::write))
        .route("/api/v1/events/{id}", get(routes::outbox::message))
        .route("/api/v1/schedules", get(routes::schedules::schedules))
        .route("/healthz", get(routes::health::healthz))
        .route("/readyz", get(routes::health::readyz))
        .route("/metrics", get(routes::health::metrics))
        .fallback(routes::start::trigger)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(middleware::from_fn(telemetry::measure))
        .layer(DefaultBodyLimit::max(body_limit))
        .with_state(Arc::new(api))
}
