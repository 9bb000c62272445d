//! Which plugins run here, and what there is of each.

use axum::{
    Json,
    extract::{Path, State},
    http::Uri,
};
use serde::Serialize;
use wasaga_store::{
    activation_history::{PluginParts, PluginState},
    steps_needed::{TouchedCount, TouchedPage},
};

use crate::{AppState, error::ApiError, ports::Rejected, query::Touching, routes::plugin_name};

/// How many sagas a page has where the caller does not say.
const PAGE: usize = 50;

/// The plugins of this host.
#[derive(Serialize)]
pub(crate) struct PluginsView {
    plugins: Vec<PluginView>,
    rejections: Vec<RejectionView>,
}

#[derive(Serialize)]
struct PluginView {
    name: String,
    version: String,
    digest: String,
    #[serde(flatten)]
    parts: PluginParts,
    sagas: Vec<SagaName>,
}

#[derive(Serialize)]
struct SagaName {
    name: String,
    version: u32,
}

#[derive(Serialize)]
struct RejectionView {
    source: String,
    reason: String,
}

/// GET /api/v1/plugins
pub(crate) async fn plugins(State(shared): AppState) -> Result<Json<PluginsView>, ApiError> {
    let mut parts = shared.plugins.parts().await.map_err(ApiError::of_many)?;
    let catalog = shared.plugins.catalog();
    let plugins = catalog.plugins.iter().map(|(name, plugin)| PluginView {
        name: name.to_string(),
        version: plugin.manifest.version.clone(),
        digest: plugin.digest.to_string(),
        parts: parts.remove(name.as_str()).unwrap_or_default(),
        sagas: (plugin.manifest.sagas.iter())
            .map(|saga| SagaName { name: saga.name.clone(), version: saga.version })
            .collect(),
    });
    let rejections = shared.plugins.rejections().into_iter();
    let rejections = rejections.map(|Rejected { source, reason }| RejectionView { source, reason });
    Ok(Json(PluginsView { plugins: plugins.collect(), rejections: rejections.collect() }))
}

/// GET /api/v1/plugins/{plugin}
pub(crate) async fn plugin(
    State(shared): AppState,
    Path(plugin): Path<String>,
) -> Result<Json<PluginState>, ApiError> {
    let state = shared.plugins.plugin(&plugin_name(&plugin)?).await.map_err(ApiError::of_many)?;
    state.map(Json).ok_or(ApiError::UnknownPlugin(plugin))
}

/// The sagas in flight that a change of a plugin's module touches.
#[derive(Serialize)]
pub(crate) struct TouchedView {
    /// How many there are.
    total: i64,
    /// How many of them need a step that the module lacks.
    lacking: i64,
    counts: Vec<TouchedCount>,
    #[serde(flatten)]
    page: TouchedPage,
}

/// GET /api/v1/plugins/{plugin}/sagas
pub(crate) async fn sagas(
    State(shared): AppState,
    Path(plugin): Path<String>,
    uri: Uri,
) -> Result<Json<TouchedView>, ApiError> {
    let plugin = plugin_name(&plugin)?;
    let Touching { digest, after, limit } = Touching::read(&uri)?;
    let limit = limit.unwrap_or(PAGE);
    let touched = shared.plugins.touched(&plugin, digest, after, limit).await;
    let (counts, page) = touched.map_err(ApiError::of_many)?;
    let (total, lacking) = counts
        .iter()
        .fold((0, 0), |(total, lacking), count| (total + count.sagas, lacking + count.lacking));
    Ok(Json(TouchedView { total, lacking, counts, page }))
}
