//! What an operator may ask of many sagas at once: of each as if it were asked alone.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Request, State},
};
use serde::Serialize;
use tokio::time::Instant;
use wasaga_domain::{
    ids::SagaId,
    mail::Verb,
    search::SagaFilter,
    state::Status::{self, Compensating, NeedsAttention, Paused, Pending, Running, Waiting},
};

use crate::{
    AppState,
    error::ApiError,
    query::{Selection, bad},
    routes::verbs::Ask,
};

/// How many sagas are asked in one transaction.
pub(super) const BATCH: usize = 200;

/// No further batch is begun after this; the answer says where to go on.
pub(super) const WITHIN: Duration = Duration::from_secs(20);

/// Statuses of sagas that have not ended.
pub(super) const LIVE: &[Status] =
    &[Pending, Running, Waiting, Paused, Compensating, NeedsAttention];

/// What came of it.
#[derive(Serialize)]
pub(crate) struct BulkView {
    verb: &'static str,
    dry_run: bool,
    /// Sagas that fit.
    matched: usize,
    /// Those of them that will see the request.
    asked: usize,
    /// `after` of the next request, where there was too much for one.
    next: Option<String>,
}

/// POST /api/v1/sagas/bulk/cancel, pause, resume, retry or resolve
pub(crate) async fn bulk(
    State(shared): AppState,
    Path(verb): Path<String>,
    request: Request,
) -> Result<Json<BulkView>, ApiError> {
    let uri = request.uri().clone();
    let Selection { mut filter, mut after, dry_run, all, .. } =
        Selection::read(&uri, &["dry_run", "all"])?;
    let unknown = || ApiError::UnknownRoute(uri.path().to_owned());
    let (verb, usual) = verb_of(&verb, &filter)?.ok_or_else(unknown)?;
    if filter.is_empty() && !all {
        let why = format!(
            "nothing says which sagas are meant: name a condition ({}), or say all=true",
            SagaFilter::NAMES
        );
        return Err(bad("the query", &why));
    }
    narrow(&mut filter, usual)?;
    let by = Ask::read(&shared, request).await?.audit(&verb)?;

    let (mut matched, mut asked) = (0, 0);
    let until = Instant::now() + WITHIN;
    loop {
        let page = shared.sagas.search(&filter, after, BATCH).await.map_err(ApiError::of_many)?;
        matched += page.sagas.len();
        if !dry_run && !page.sagas.is_empty() {
            let ids: Vec<SagaId> = page.sagas.iter().map(|saga| saga.id).collect();
            asked += shared.sagas.ask_all(&ids, &verb, &by).await.map_err(ApiError::of_many)?;
        }
        after = page.next;
        if after.is_none() || Instant::now() >= until {
            break;
        }
    }
    let next = after.map(|next| next.to_string());
    Ok(Json(BulkView { verb: verb.name(), dry_run, matched, asked, next }))
}

/// The verb of this name, and the statuses in which it is usually meant.
fn verb_of(name: &str, filter: &SagaFilter) -> Result<Option<(Verb, &'static [Status])>, ApiError> {
    Ok(Some(match name {
        "cancel" => (Verb::Cancel, &[Pending, Running, Waiting, Paused, NeedsAttention]),
        "pause" => (Verb::Pause, &[Pending, Running, Waiting, Compensating]),
        "resume" => (Verb::Resume, &[Paused, NeedsAttention]),
        "resolve" => (Verb::Resolve, &[NeedsAttention]),
        "retry" => {
            let step = filter.step.clone();
            let step =
                step.ok_or_else(|| bad("step", "name the step that is to be tried again"))?;
            (Verb::Retry { step, module: None }, &[NeedsAttention])
        }
        _ => return Ok(None),
    }))
}

/// Leaves out what has ended, and, where the caller names no status, what is not usually meant.
pub(super) fn narrow(filter: &mut SagaFilter, usual: &[Status]) -> Result<(), ApiError> {
    if filter.statuses.is_empty() {
        filter.statuses = usual.to_vec();
    }
    filter.statuses.retain(|status| !status.is_final());
    if filter.statuses.is_empty() {
        return Err(bad("status", "nothing can be asked of sagas that have ended"));
    }
    Ok(())
}
