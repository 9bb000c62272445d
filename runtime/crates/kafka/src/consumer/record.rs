//! A record as an in task.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::{
    Message as _,
    message::{BorrowedHeaders, BorrowedMessage, Headers as _},
};
use serde_json::{Value, json};
use wasaga_domain::message::Header;
use wasaga_store::{headers, lanes::lane, task_in_insert::NewTaskIn};

/// A refused record's value is kept with its dead letter up to this size; beyond it Postgres has no place for it.
const KEPT: usize = 128 << 20;
/// The year 10000: what Postgres shows as a time.
const LAST_MILLIS: i64 = 253_402_300_799_999;

/// The task of a record, and the record's size. One that can't be a task is refused: it goes to the dead letters, with
/// what of it can be kept.
pub(super) fn task(
    message: &BorrowedMessage<'_>,
    lanes: u16,
    max_bytes: usize,
) -> (NewTaskIn, usize) {
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    let (headers, bad_names) = message.headers().map(read_headers).unwrap_or_default();
    let size = message.payload_len() + message.key_len();
    let size = headers.iter().fold(size, |sum, h| sum + h.name.len() + h.value.len());
    let at = json!({ "topic": topic, "partition": partition, "offset": offset });
    let refused = if size > max_bytes {
        let kept =
            if size > KEPT { "its content is only there" } else { "its content is kept here" };
        Some(json!({ "code": "record-too-large", "at": at, "message": format!(
            "the record has {size} bytes and flows.in_record_bytes is {max_bytes}; {kept}") }))
    } else if bad_names.is_empty() {
        None
    } else {
        Some(json!({ "code": "header-name-not-utf8", "at": at, "message": format!(
            "the names of its headers {bad_names:?} (from 0) are not UTF-8; these headers are only there") }))
    };
    let keep = size <= KEPT;
    let task = NewTaskIn {
        lane: lane(topic, partition, message.key(), offset, lanes),
        topic: topic.to_owned(),
        partition,
        offset,
        key: message.key().filter(|_| keep).map(<[u8]>::to_vec),
        headers: if keep { headers::to_json(&headers) } else { json!([]) },
        value: message.payload().filter(|_| keep).map(<[u8]>::to_vec),
        message_id: message_id(&headers),
        produced_at: message.timestamp().to_millis().filter(|ms| (0..=LAST_MILLIS).contains(ms)),
        refused,
    };
    (task, size)
}

/// What the header `message-id` says, where it can be a message's name: 1 to 500 bytes of text.
fn message_id(headers: &[Header]) -> Option<String> {
    let header = headers.iter().rfind(|header| header.name == "message-id")?;
    let id = str::from_utf8(&header.value).ok()?;
    ((1..=500).contains(&id.len()) && !id.contains('\0')).then(|| id.to_owned())
}

/// What remains of a record that Postgres itself refused: where it is.
pub(super) fn refused_by_postgres(task: &mut NewTaskIn, error: &str) {
    let at = json!({ "topic": task.topic, "partition": task.partition, "offset": task.offset });
    let message = format!("{error}; its content is only there");
    task.refused = Some(json!({ "code": "refused-by-postgres", "at": at, "message": message }));
    task.headers = Value::Array(Vec::new());
    (task.key, task.value) = (None, None);
}

/// Whether nothing of its content is left.
pub(super) fn is_stripped(task: &NewTaskIn) -> bool {
    task.refused.is_some()
        && task.key.is_none()
        && task.value.is_none()
        && task.headers == json!([])
}

/// The headers, and the places of those whose name is not UTF-8.
fn read_headers(headers: &BorrowedHeaders) -> (Vec<Header>, Vec<usize>) {
    let mut read = Vec::with_capacity(headers.count());
    let mut bad = Vec::new();
    for place in 0..headers.count() {
        // rdkafka panics on such a name, and knows no other way to read a header.
        match catch_unwind(AssertUnwindSafe(|| headers.try_get(place))) {
            Ok(Some(header)) => read.push(Header {
                name: header.key.to_owned(),
                value: Bytes::copy_from_slice(header.value.unwrap_or_default()),
            }),
            Ok(None) => {}
            Err(_) => bad.push(place),
        }
    }
    (read, bad)
}
