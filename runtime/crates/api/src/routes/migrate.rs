//! Moving sagas in flight to another version of their definition: those that can be are asked, and of the others it is
//! said why they cannot.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Request, State},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wasaga_domain::{
    ids::SagaId,
    mail::{Migration, Verb},
};
use wasaga_store::saga_search::FoundSaga;

use crate::{
    AppState,
    body::JsonBody,
    error::ApiError,
    ports::Sagas,
    query::{Selection, bad},
    routes::{
        bulk::{BATCH, LIVE, WITHIN, narrow},
        verbs::audit_of,
    },
};

/// No further batch is begun after so many refusals.
const REFUSALS: usize = 1000;

/// What came of it.
#[derive(Default, Serialize)]
pub struct MigrationView {
    /// Whether nobody was asked.
    pub dry_run: bool,
    /// Sagas of other versions that fit.
    pub matched: usize,
    /// Those of them that will see the request.
    pub asked: usize,
    /// Those of them that can't be moved.
    pub refused: Vec<Refusal>,
    /// `after` of the next request, where there was too much for one.
    pub next: Option<String>,
}

/// A saga that can't be moved.
#[derive(Serialize)]
pub struct Refusal {
    /// Which one.
    pub saga_id: SagaId,
    /// Its definition's version.
    pub version: u32,
    /// Why, all reasons.
    pub reasons: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    to: u32,
    #[serde(default)]
    map: BTreeMap<String, String>,
    reason: Option<String>,
    by: Option<String>,
}

/// POST /api/v1/sagas/bulk/migrate
pub(crate) async fn migrate(
    State(shared): AppState,
    request: Request,
) -> Result<Json<MigrationView>, ApiError> {
    let Selection { mut filter, mut after, dry_run, .. }: Selection =
        Selection::read(request.uri(), &["dry_run"])?;
    if filter.definition.is_none() {
        return Err(bad("definition", "name the definition whose sagas are to be moved"));
    }
    narrow(&mut filter, LIVE)?;
    let body = JsonBody::required(request, shared.body_limit).await?;
    let Ask { to, map, reason, by } = serde_json::from_value(body.value).map_err(|error| {
        ApiError::Malformed(format!("the body must be {{to, map?, reason?, by?}}: {error}"))
    })?;
    let migration = Migration { to, map };
    let verb = Verb::Migrate(migration.clone());
    let by = audit_of(verb.name(), reason, by)?;

    let mut view = MigrationView { dry_run, ..MigrationView::default() };
    let until = Instant::now() + WITHIN;
    loop {
        let page = shared.sagas.search(&filter, after, BATCH).await.map_err(ApiError::of_many)?;
        let movable = view.sift(&*shared.sagas, page.sagas, &migration).await?;
        if !dry_run && !movable.is_empty() {
            let asked = shared.sagas.ask_all(&movable, &verb, &by).await;
            view.asked += asked.map_err(ApiError::of_many)?;
        }
        after = page.next;
        if after.is_none() || Instant::now() >= until || view.refused.len() >= REFUSALS {
            break;
        }
    }
    view.next = after.map(|next| next.to_string());
    Ok(Json(view))
}

impl MigrationView {
    /// Those that can be moved; the others are noted with their reasons.
    async fn sift(
        &mut self,
        sagas: &dyn Sagas,
        found: Vec<FoundSaga>,
        migration: &Migration,
    ) -> Result<Vec<SagaId>, ApiError> {
        let mut movable = Vec::new();
        for saga in found.into_iter().filter(|saga| saga.version != migration.to) {
            self.matched += 1;
            let reasons = sagas.refusals(&saga, migration).await.map_err(ApiError::of_many)?;
            if reasons.is_empty() {
                movable.push(saga.id);
            } else {
                let (saga_id, version) = (saga.id, saga.version);
                self.refused.push(Refusal { saga_id, version, reasons });
            }
        }
        Ok(movable)
    }
}
