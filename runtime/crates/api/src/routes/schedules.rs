//! What starts by the clock.

use axum::{Json, extract::State};
use serde::Serialize;
use wasaga_store::schedules::ScheduleRow;

use crate::{AppState, error::ApiError};

/// The schedules of all active plugins.
#[derive(Serialize)]
pub(crate) struct SchedulesView {
    schedules: Vec<ScheduleView>,
}

#[derive(Serialize)]
struct ScheduleView {
    definition: String,
    version: u32,
    plugin: String,
    cron: String,
    misfire: String,
    next_at: Option<String>,
    last_at: Option<String>,
}

/// GET /api/v1/schedules
pub(crate) async fn schedules(State(shared): AppState) -> Result<Json<SchedulesView>, ApiError> {
    let view = |row: ScheduleRow| ScheduleView {
        definition: row.definition,
        version: row.version,
        plugin: row.plugin,
        cron: row.expression,
        misfire: row.misfire,
        next_at: row.next_at.map(|at| at.to_string()),
        last_at: row.last_at.map(|at| at.to_string()),
    };
    let schedules =
        shared.sagas.schedules().await.map_err(ApiError::of_many)?.into_iter().map(view).collect();
    Ok(Json(SchedulesView { schedules }))
}
