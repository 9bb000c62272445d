//! Which plugins run here.

use axum::{Json, extract::State};
use serde::Serialize;

use crate::{AppState, ports::Rejected};

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
pub(crate) async fn plugins(State(shared): AppState) -> Json<PluginsView> {
    let catalog = shared.plugins.catalog();
    let plugins = catalog.plugins.iter().map(|(name, plugin)| PluginView {
        name: name.to_string(),
        version: plugin.manifest.version.clone(),
        digest: plugin.digest.to_string(),
        sagas: (plugin.manifest.sagas.iter())
            .map(|saga| SagaName { name: saga.name.clone(), version: saga.version })
            .collect(),
    });
    let rejections = shared.plugins.rejections().into_iter();
    let rejections = rejections.map(|Rejected { source, reason }| RejectionView { source, reason });
    Json(PluginsView { plugins: plugins.collect(), rejections: rejections.collect() })
}
