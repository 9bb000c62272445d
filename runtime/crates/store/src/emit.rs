//! Messages to emit, and `wasaga.emit_many`, which adds them in a transaction of the caller's.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{
    postgres::{PgDatabaseError, PgExecutor},
    types::Json,
};
use wasaga_domain::{base64_bytes, message::Header};

use crate::{StoreError, headers};

/// A message to emit, with the members of an element of `wasaga.emit_many`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// Where to: 1 to 249 of `a-z A-Z 0-9 . _ -`.
    pub topic: String,
    /// Of one topic and key messages keep their order. Absent, as `key_bytes` is: in no order.
    pub key: Option<String>,
    /// In the place of `key`.
    #[serde(default, with = "base64_bytes::option")]
    pub key_bytes: Option<Bytes>,
    /// The record's value, JSON, sent as Postgres prints it. Absent, as `payload_bytes` is: a tombstone.
    pub payload: Option<Box<RawValue>>,
    /// In the place of `payload`.
    #[serde(default, with = "base64_bytes::option")]
    pub payload_bytes: Option<Bytes>,
    /// In the order of the record.
    #[serde(default, with = "headers")]
    pub headers: Vec<Header>,
    /// Under one key only the first message is sent; up to 500 characters.
    pub idempotency_key: Option<String>,
    /// Sent in the message's place once that is given up.
    pub rollback: Option<RollbackMessage>,
    /// What it is about; up to 500 characters.
    pub aggregate_id: Option<String>,
    /// What it says has happened; up to 500 characters.
    pub event_type: Option<String>,
    /// Refusals by the broker until it is given up, at least 1. Absent: as the relay has it.
    pub max_attempts: Option<i32>,
    /// Makes it a `CloudEvent` of this source; needs `event_type`.
    pub cloud_event_source: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// What is sent in the place of a message that is given up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackMessage {
    /// Where to.
    pub topic: String,
    /// The record's key.
    pub key: Option<String>,
    /// In the place of `key`.
    #[serde(default, with = "base64_bytes::option")]
    pub key_bytes: Option<Bytes>,
    /// The record's value, JSON. Absent, as `payload_bytes` is: a tombstone.
    pub payload: Option<Box<RawValue>>,
    /// In the place of `payload`.
    #[serde(default, with = "base64_bytes::option")]
    pub payload_bytes: Option<Bytes>,
    /// In the order of the record.
    #[serde(default, with = "headers")]
    pub headers: Vec<Header>,
}

/// Why a message was not emitted.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// It can't be sent as it is; the sentence names the message, the member and how to mend it.
    #[error("{0}")]
    Invalid(String),
    /// Its key stands for a message of other content; the sentence names that.
    #[error("{0}")]
    KeyTaken(String),
    /// The database did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// So many writes are under way that this one was not begun.
    #[error("{0} writes are under way: let some end before others begin")]
    Busy(usize),
    /// What wrote it was ended before: it may be there or not.
    #[error("the write was ended: {0}")]
    Aborted(String),
}

impl From<sqlx::Error> for EmitError {
    fn from(error: sqlx::Error) -> Self {
        let refused = error.as_database_error();
        let refused = refused.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
        let Some(refused) = refused else { return Self::Store(error.into()) };
        let hint = refused.hint().map(|hint| format!(": {hint}")).unwrap_or_default();
        let why = format!("{}{hint}", refused.message());
        match refused.code() {
            "23505" => Self::KeyTaken(why),
            code if matches!(&code[..2], "22" | "54") => Self::Invalid(why),
            _ => Self::Store(error.into()),
        }
    }
}

/// Emits all of these messages in the connection's transaction, or none; answers with their ids, in order. The
/// connection's role may be an application's, with no right but that of executing `wasaga.emit_many`.
pub async fn emit(
    executor: impl PgExecutor<'_>,
    messages: &[NewMessage],
) -> Result<Vec<i64>, EmitError> {
    let ids = sqlx::query_scalar("select wasaga.emit_many($1)").bind(Json(messages));
    Ok(ids.fetch_one(executor).await?)
}
