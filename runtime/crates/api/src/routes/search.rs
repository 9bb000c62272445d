//! Finding sagas by what they are.

use axum::{Json, extract::State, http::Uri};
use serde::Serialize;
use wasaga_domain::{ids::SagaId, state::Status};
use wasaga_store::saga_search::{FoundSaga, Page};

use crate::{AppState, error::ApiError, payload::ErrorView, query::Selection};

/// How many sagas a page has where the caller does not say.
const PAGE: usize = 50;

/// A page of sagas.
#[derive(Serialize)]
pub struct PageView {
    sagas: Vec<FoundView>,
    /// `after` of the next page; absent: this is the last one.
    next: Option<String>,
}

/// A saga in a page.
#[derive(Serialize)]
struct FoundView {
    saga_id: SagaId,
    definition: String,
    version: u32,
    business_key: Option<String>,
    status: Status,
    current_step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
    created_at: String,
    updated_at: String,
}

/// GET /api/v1/sagas
pub(crate) async fn search(State(shared): AppState, uri: Uri) -> Result<Json<PageView>, ApiError> {
    let Selection { filter, after, limit, .. } = Selection::read(&uri, &["limit"])?;
    let page = shared.sagas.search(&filter, after, limit.unwrap_or(PAGE)).await;
    let page = page.map_err(ApiError::of_many)?;
    Ok(Json(PageView::from(page)))
}

impl From<Page> for PageView {
    fn from(page: Page) -> Self {
        Self {
            sagas: page.sagas.into_iter().map(FoundView::from).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

impl From<FoundSaga> for FoundView {
    fn from(saga: FoundSaga) -> Self {
        let open = saga.state.open.first();
        Self {
            saga_id: saga.id,
            current_step: open.and_then(|open| saga.steps.get(usize::from(open.step)).cloned()),
            error: saga.state.attention.as_ref().or(saga.state.cause()).map(ErrorView::from),
            status: saga.status,
            definition: saga.definition,
            version: saga.version,
            business_key: saga.business_key,
            created_at: saga.created_at.to_string(),
            updated_at: saga.updated_at.to_string(),
        }
    }
}
