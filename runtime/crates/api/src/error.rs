//! Everything the API refuses, as RFC 9457 problem details. What is the host's own fault is logged, not told.
//!
//! To add a refusal: a variant, its row in [`ApiError::problem`], and one in docs/api.md.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use uuid::Uuid;
use wasaga_domain::{dead_letter::LetterFlow, ids::SagaId, state::Status};
use wasaga_store::retention::Tombstone;

use crate::ports::{MessagesError, SagasError};

/// A refusal.
#[derive(Debug, PartialEq)]
pub(crate) enum ApiError {
    /// No route, and no trigger.
    UnknownRoute(String),
    /// The route exists; `Some` is what it allows where the router does not say it.
    WrongMethod(Option<&'static str>),
    /// The path's id is none.
    BadSagaId(String),
    /// The path's number of a dead letter is none.
    BadLetterId(String),
    /// A parameter of the query does not fit.
    BadParameter { name: String, why: String },
    /// The body is not said to be JSON.
    NotJson(Option<String>),
    /// The body is not JSON.
    Malformed(String),
    /// The body has more bytes than this.
    TooLarge(usize),
    /// The body does not fit; never empty.
    Invalid(Vec<Misfit>),
    /// No active definition of this name; those that are.
    UnknownDefinition(String, Vec<String>),
    /// Another version is the active one.
    InactiveVersion { name: String, asked: u32, active: u32 },
    /// The business key's saga has another input.
    KeyTaken { key_name: String, key: String, saga: SagaId },
    /// The idempotency key's message has other content.
    EventKeyTaken(String),
    /// No such message.
    UnknownEvent(String),
    /// No such saga.
    UnknownSaga(SagaId),
    /// No such saga any more.
    RemovedSaga(SagaId, Tombstone),
    /// The saga is at its end.
    Final { saga: SagaId, status: Status, verb: &'static str },
    /// The saga only goes forward.
    PastPivot { saga: SagaId, status: Status },
    /// The saga has no such step; those it has.
    UnknownStep { saga: SagaId, step: String, known: Vec<String> },
    /// No such dead letter.
    UnknownLetter { flow: LetterFlow, id: i64 },
    /// The dead letter has ended.
    FinalLetter { flow: LetterFlow, id: i64, ending: String, verb: &'static str },
    /// A plugin is called for the dead letter now.
    LetterAtWork { flow: LetterFlow, id: i64 },
    /// No such plugin was ever active.
    UnknownPlugin(String),
    /// The host says why it does not take the request.
    Refused(String),
    /// A little later it may work.
    Unavailable(String),
    /// Logged.
    Internal(String),
}

/// A place in the body, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Misfit {
    /// RFC 6901; empty for the whole body.
    pub pointer: String,
    /// A sentence.
    pub detail: String,
}

impl Misfit {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

#[derive(Serialize)]
struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Misfit>,
}

impl ApiError {
    /// The refusal that an error of the host means for a request about `saga`.
    pub(crate) fn of_saga(error: SagasError, saga: SagaId, verb: &'static str) -> Self {
        match error {
            SagasError::NotFound => Self::UnknownSaga(saga),
            SagasError::Removed(tombstone) => Self::RemovedSaga(saga, tombstone),
            SagasError::Final(status) => Self::Final { saga, status, verb },
            SagasError::PastPivot(status) => Self::PastPivot { saga, status },
            SagasError::Refused(why) => Self::Refused(why),
            SagasError::Unavailable(why) => Self::Unavailable(why),
            SagasError::Internal(why) => Self::Internal(why),
        }
    }

    /// The refusal that an error of the host means for a request that names no saga: a start, a search.
    pub(crate) fn of_many(error: SagasError) -> Self {
        match error {
            SagasError::Refused(why) => Self::Refused(why),
            SagasError::Unavailable(why) => Self::Unavailable(why),
            SagasError::Internal(why) => Self::Internal(why),
            SagasError::NotFound
            | SagasError::Removed(_)
            | SagasError::Final(_)
            | SagasError::PastPivot(_) => {
                Self::Internal(format!("what names no saga was answered with {error:?}"))
            }
        }
    }

    fn problem(self) -> (StatusCode, &'static str, &'static str, String, Vec<Misfit>) {
        let row = |status, kind, title, detail| (status, kind, title, detail, Vec::new());
        match self {
            Self::UnknownRoute(path) => row(
                StatusCode::NOT_FOUND,
                "unknown-route",
                "Not found",
                format!(
                    "nothing answers {path}: no route, and no active saga definition with an HTTP trigger of this path"
                ),
            ),
            Self::WrongMethod(_) => row(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong-method",
                "Method not allowed",
                "the header Allow names the methods of this path".into(),
            ),
            Self::BadSagaId(id) => row(
                StatusCode::BAD_REQUEST,
                "bad-saga-id",
                "Not a saga id",
                format!("{id:?} is not a UUID, as saga ids are"),
            ),
            Self::BadLetterId(id) => row(
                StatusCode::BAD_REQUEST,
                "bad-letter-id",
                "Not a dead letter's number",
                format!("{id:?} is not a number, as dead letters' are"),
            ),
            Self::BadParameter { name, why } => row(
                StatusCode::BAD_REQUEST,
                "bad-parameter",
                "Bad parameter",
                format!("{name}: {why}"),
            ),
            Self::NotJson(found) => {
                let found = found.map_or("no Content-Type".into(), |found| format!("{found:?}"));
                let detail = format!(
                    "the body's Content-Type must be application/json, and there is {found}"
                );
                row(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "not-json",
                    "Unsupported media type",
                    detail,
                )
            }
            Self::Malformed(why) => {
                row(StatusCode::BAD_REQUEST, "malformed-json", "Malformed JSON", why)
            }
            Self::TooLarge(limit) => row(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "Body too large",
                format!("the body has more than {limit} bytes, which server.body_limit allows"),
            ),
            Self::Invalid(errors) => {
                let detail = match errors.as_slice() {
                    [one] if one.pointer.is_empty() => one.detail.clone(),
                    [one] => format!("{}: {}", one.pointer, one.detail),
                    many => format!("{} places of the body do not fit: see errors", many.len()),
                };
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                (status, "invalid-input", "The input does not fit", detail, errors)
            }
            Self::UnknownDefinition(name, known) => {
                let known = if known.is_empty() { "none is".into() } else { known.join(", ") };
                let detail = format!("no saga definition {name:?} is active here; active: {known}");
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                row(status, "unknown-definition", "Unknown saga definition", detail)
            }
            Self::InactiveVersion { name, asked, active } => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "inactive-version",
                "Not the active version",
                format!(
                    "version {asked} of {name} is not the active one, which is {active}: leave version out, or activate its plugin"
                ),
            ),
            Self::KeyTaken { key_name, key, saga } => row(
                StatusCode::CONFLICT,
                "key-taken",
                "The key has another input",
                format!(
                    "{key_name} {key:?} already started saga {saga}, and with another input than this one: send the same input to be answered with that saga, or another {key_name} to start one more"
                ),
            ),
            Self::EventKeyTaken(why) => {
                row(StatusCode::CONFLICT, "key-taken", "The key has another message", why)
            }
            Self::UnknownEvent(id) => {
                let detail = format!(
                    "there is no message {id} in the outbox, or it was published and deleted since: see flows.retention_ms"
                );
                row(StatusCode::NOT_FOUND, "unknown-event", "Unknown message", detail)
            }
            Self::UnknownSaga(id) => {
                let detail = format!("there is no saga {id}");
                row(StatusCode::NOT_FOUND, "unknown-saga", "Unknown saga", detail)
            }
            Self::RemovedSaga(id, Tombstone { status, ended_at }) => {
                let status = status.as_str();
                let detail = format!(
                    "saga {id} ended {status} at {ended_at}, and was dropped since: see [retention]"
                );
                row(StatusCode::NOT_FOUND, "removed-saga", "The saga is gone", detail)
            }
            Self::Final { saga, status, verb } => row(
                StatusCode::CONFLICT,
                "final-saga",
                "The saga is at its end",
                format!(
                    "saga {saga} is {}, which is final: there is nothing to {verb}",
                    status.as_str()
                ),
            ),
            Self::PastPivot { saga, status } => row(
                StatusCode::CONFLICT,
                "past-pivot",
                "The saga only goes forward",
                format!(
                    "saga {saga} is {} and past its pivot: it can't be cancelled any more",
                    status.as_str()
                ),
            ),
            Self::UnknownStep { saga, step, known } => row(
                StatusCode::NOT_FOUND,
                "unknown-step",
                "Unknown step",
                format!("saga {saga} has no step {step:?}; it has {}", known.join(", ")),
            ),
            Self::UnknownLetter { flow, id } => row(
                StatusCode::NOT_FOUND,
                "unknown-letter",
                "Unknown dead letter",
                format!(
                    "there is no dead letter {id} of the flow {}: those that ended are deleted after \
                     flows.dead_letter_retention_ms",
                    flow.as_str()
                ),
            ),
            Self::FinalLetter { flow, id, ending, verb } => row(
                StatusCode::CONFLICT,
                "final-letter",
                "The dead letter has ended",
                format!(
                    "dead letter {id} of the flow {} was {ending}, which is final: there is nothing to {verb}",
                    flow.as_str()
                ),
            ),
            Self::LetterAtWork { flow, id } => row(
                StatusCode::CONFLICT,
                "letter-at-work",
                "A plugin is at work on it",
                format!(
                    "a plugin is called for dead letter {id} of the flow {} now: try again, or redrive or discard it as it is",
                    flow.as_str()
                ),
            ),
            Self::UnknownPlugin(name) => row(
                StatusCode::NOT_FOUND,
                "unknown-plugin",
                "Unknown plugin",
                format!(
                    "no plugin {name:?} was ever active: GET /api/v1/plugins lists those that are"
                ),
            ),
            Self::Refused(why) => row(StatusCode::UNPROCESSABLE_ENTITY, "refused", "Refused", why),
            Self::Unavailable(why) => {
                row(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", why)
            }
            Self::Internal(why) => {
                let incident = Uuid::new_v4();
                tracing::error!(%incident, "a request failed: {why}");
                row(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Internal error",
                    format!("the host's log has the cause under incident {incident}"),
                )
            }
        }
    }
}

impl From<MessagesError> for ApiError {
    fn from(error: MessagesError) -> Self {
        match error {
            MessagesError::Refused(why) => Self::Refused(why),
            MessagesError::KeyTaken(why) => Self::EventKeyTaken(why),
            MessagesError::Unavailable(why) => Self::Unavailable(why),
            MessagesError::Internal(why) => Self::Internal(why),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let allow = match &self {
            Self::WrongMethod(allow) => *allow,
            _ => None,
        };
        let (status, kind, title, detail, errors) = self.problem();
        let problem = Problem {
            r#type: format!("urn:wasaga:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail,
            errors,
        };
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(allow) = allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
