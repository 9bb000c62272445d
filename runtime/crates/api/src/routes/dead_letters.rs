//! Dead letters: finding them, looking at them, and what operators do to them, which stands in the audit with who and
//! why.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::Uri,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wasaga_domain::{
    dead_letter::{LetterFilter, LetterFlow, LetterStatus, LetterVerb},
    mail::Audit,
};
use wasaga_store::{
    dead_letter_edit::Edited, dead_letter_end::EndedLetter, dead_letter_read::Letter,
    dead_letter_search::Order,
};

use crate::{
    ApiState, AppState,
    body::JsonBody,
    error::{ApiError, Misfit},
    letter::{EditBody, LetterPageView, LetterView},
    query::{Selection, bad},
    routes::{
        bulk::{BATCH, WITHIN},
        verbs::audit_of,
    },
};

/// How many letters a page has where the caller does not say.
const PAGE: usize = 50;

/// The body of a verb, which may be left out for a redrive.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    reason: Option<String>,
    by: Option<String>,
}

/// A letter that was ended.
#[derive(Serialize)]
pub(crate) struct EndedView {
    letter_id: i64,
    flow: &'static str,
    verb: &'static str,
    /// The new task of a redrive.
    task_id: Option<i64>,
}

/// What came of a verb for many letters.
#[derive(Serialize)]
pub(crate) struct BulkView {
    verb: &'static str,
    dry_run: bool,
    /// Letters that fit.
    matched: usize,
    /// Those of them that were ended.
    ended: usize,
    /// `after` of the next request, where there was too much for one.
    next: Option<String>,
}

/// GET /api/v1/dead-letters/{flow}
pub(crate) async fn search(
    State(shared): AppState,
    Path(flow): Path<String>,
    uri: Uri,
) -> Result<Json<LetterPageView>, ApiError> {
    let flow = flow_of(&flow, &uri)?;
    let Selection { filter, after, limit, .. } = selection(flow, &uri, &["limit"])?;
    let limit = limit.unwrap_or(PAGE);
    let page = shared.letters.search(flow, &filter, Order::Newest, after, limit).await;
    Ok(Json(LetterPageView::of(flow, page.map_err(ApiError::of_many)?)))
}

/// GET /api/v1/dead-letters/{flow}/{id}
pub(crate) async fn show(
    State(shared): AppState,
    Path((flow, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<LetterView>, ApiError> {
    let flow = flow_of(&flow, &uri)?;
    let letter = read(&shared, flow, letter_id(&id)?).await?;
    Ok(Json(LetterView::of(flow, letter, &*shared.values).await))
}

/// PATCH /api/v1/dead-letters/{flow}/{id}
pub(crate) async fn edit(
    State(shared): AppState,
    Path((flow, id)): Path<(String, String)>,
    request: Request,
) -> Result<Json<LetterView>, ApiError> {
    let flow = flow_of(&flow, request.uri())?;
    let id = letter_id(&id)?;
    let body = JsonBody::required(request, shared.body_limit).await?;
    // Not from the parsed value: a number keeps its digits.
    let body: EditBody = serde_json::from_slice(&body.bytes).map_err(|error| {
        ApiError::Malformed(format!(
            "the body must be {{topic?, key?, headers?, value?, reason?, by?}}, the value as {{json}}, {{text}} or \
             {{base64}}: {error}"
        ))
    })?;
    let misfit = |(field, why): (&str, String)| {
        ApiError::Invalid(vec![Misfit::new(format!("/{field}"), why)])
    };
    let edit = body.edit(flow).map_err(misfit)?;
    if edit.is_empty() {
        let why = "nothing is to be changed: name topic, key, headers or value";
        return Err(ApiError::Invalid(vec![Misfit::new("", why)]));
    }
    let by = audit_of("edit", body.reason, body.by)?;
    match shared.letters.edit(flow, id, &edit, &by).await.map_err(ApiError::of_many)? {
        Edited::Done(letter) => Ok(Json(LetterView::of(flow, *letter, &*shared.values).await)),
        Edited::AtWork => Err(ApiError::LetterAtWork { flow, id }),
        Edited::Ended(ending) => Err(ApiError::FinalLetter { flow, id, ending, verb: "edit" }),
        Edited::Unknown => Err(ApiError::UnknownLetter { flow, id }),
    }
}

/// POST /api/v1/dead-letters/{flow}/{id}/redrive or discard
pub(crate) async fn end(
    State(shared): AppState,
    Path((flow, id, verb)): Path<(String, String, String)>,
    request: Request,
) -> Result<Json<EndedView>, ApiError> {
    let flow = flow_of(&flow, request.uri())?;
    let verb = verb_of(&verb, request.uri())?;
    let by = audit(&shared, verb, request).await?;
    let id = letter_id(&id)?;
    let done = shared.letters.end(flow, &[id], verb, &by).await.map_err(ApiError::of_many)?;
    if let [EndedLetter { task_id, .. }] = done[..] {
        let (flow, verb) = (flow.as_str(), verb.name());
        return Ok(Json(EndedView { letter_id: id, flow, verb, task_id }));
    }
    Err(refusal(flow, &read(&shared, flow, id).await?, verb.name()))
}

/// POST /api/v1/dead-letters/{flow}/bulk/redrive or discard
pub(crate) async fn bulk(
    State(shared): AppState,
    Path((flow, verb)): Path<(String, String)>,
    request: Request,
) -> Result<Json<BulkView>, ApiError> {
    let uri = request.uri().clone();
    let flow = flow_of(&flow, &uri)?;
    let verb = verb_of(&verb, &uri)?;
    let Selection { mut filter, mut after, dry_run, all, .. } =
        selection(flow, &uri, &["dry_run", "all"])?;
    if filter.is_empty() && !all {
        let why = format!(
            "nothing says which letters are meant: name a condition ({}), or say all=true",
            LetterFilter::NAMES
        );
        return Err(bad("the query", &why));
    }
    if filter.statuses.is_empty() {
        filter.statuses = LetterStatus::OPEN.to_vec();
    }
    filter.statuses.retain(|status| *status != LetterStatus::Ready);
    if filter.statuses.is_empty() {
        return Err(bad("status", "nothing can be done to letters that have ended"));
    }
    let by = audit(&shared, verb, request).await?;

    // Oldest first, as the tasks of a key have to follow each other; what is given up again meanwhile comes after the last.
    let newest =
        shared.letters.search(flow, &LetterFilter::default(), Order::Newest, None, 1).await;
    let newest = newest.map_err(ApiError::of_many)?.letters.first().map(|letter| letter.id);
    let (mut matched, mut ended) = (0, 0);
    let until = Instant::now() + WITHIN;
    loop {
        let page = shared.letters.search(flow, &filter, Order::Oldest, after, BATCH).await;
        let mut page = page.map_err(ApiError::of_many)?;
        page.letters.retain(|letter| Some(letter.id) <= newest);
        page.next = page.next.filter(|next| Some(*next) < newest);
        matched += page.letters.len();
        if !dry_run && !page.letters.is_empty() {
            let ids: Vec<i64> = page.letters.iter().map(|letter| letter.id).collect();
            let done = shared.letters.end(flow, &ids, verb, &by).await;
            ended += done.map_err(ApiError::of_many)?.len();
        }
        after = page.next;
        if after.is_none() || Instant::now() >= until {
            break;
        }
    }
    let next = after.map(|next| next.to_string());
    Ok(Json(BulkView { verb: verb.name(), dry_run, matched, ended, next }))
}

fn selection(
    flow: LetterFlow,
    uri: &Uri,
    known: &[&str],
) -> Result<Selection<LetterFilter, i64>, ApiError> {
    let selection: Selection<LetterFilter, i64> = Selection::read(uri, known)?;
    if selection.filter.saga.is_some() && flow == LetterFlow::In {
        return Err(bad(
            "saga",
            "no saga sent a record on its way in: ask for letters of the flow out",
        ));
    }
    Ok(selection)
}

async fn audit(shared: &ApiState, verb: LetterVerb, request: Request) -> Result<Audit, ApiError> {
    let body = JsonBody::optional(request, shared.body_limit).await?;
    let Ask { reason, by } = match body {
        None => Ask::default(),
        Some(body) => serde_json::from_value(body.value).map_err(|error| {
            ApiError::Malformed(format!("the body must be {{reason?, by?}}: {error}"))
        })?,
    };
    if verb == LetterVerb::Discard && reason.as_deref().is_none_or(str::is_empty) {
        let why = "must be there: what is discarded is gone, and somebody will ask why";
        return Err(ApiError::Invalid(vec![Misfit::new("/reason", why)]));
    }
    audit_of(verb.name(), reason, by)
}

async fn read(shared: &ApiState, flow: LetterFlow, id: i64) -> Result<Letter, ApiError> {
    let letter = shared.letters.letter(flow, id).await.map_err(ApiError::of_many)?;
    letter.ok_or(ApiError::UnknownLetter { flow, id })
}

/// Why nothing could be done to a letter.
fn refusal(flow: LetterFlow, letter: &Letter, verb: &'static str) -> ApiError {
    let found = &letter.found;
    match &found.ending {
        Some(ending) => ApiError::FinalLetter { flow, id: found.id, ending: ending.clone(), verb },
        None => ApiError::Refused(format!(
            "of letter {} nothing was kept but where it is: edit it first, or read it from {}",
            found.id, found.reason["at"]
        )),
    }
}

fn flow_of(name: &str, uri: &Uri) -> Result<LetterFlow, ApiError> {
    LetterFlow::parse(name).ok_or_else(|| ApiError::UnknownRoute(uri.path().to_owned()))
}

fn verb_of(name: &str, uri: &Uri) -> Result<LetterVerb, ApiError> {
    LetterVerb::parse(name).ok_or_else(|| ApiError::UnknownRoute(uri.path().to_owned()))
}

fn letter_id(text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| ApiError::BadLetterId(text.to_owned()))
}
