//! What a record's headers, key and value say to the inbox.

use std::{borrow::Cow, str};

use serde_json::Value;
use wasaga_domain::{
    manifest::Locator,
    message::Message,
    outcome::ErrorDetail,
    value_reader::{Unread, ValueReader},
};
use wasaga_store::task_in::TaskRecord;

/// Why there is nothing to go on with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unfound {
    /// The schema of the record's value is not here, for this reason: the same again later.
    Later(String),
    /// There is nothing, and never will be.
    Nothing(ErrorDetail),
}

impl From<ErrorDetail> for Unfound {
    fn from(why: ErrorDetail) -> Self {
        Self::Nothing(why)
    }
}

/// The message with a value that locators and sagas can look into: by the codec of its topic, or as it is where that has none.
pub(super) fn readable<'a>(
    values: &dyn ValueReader,
    message: &'a Message,
) -> Result<Cow<'a, Message>, Unfound> {
    let value = message.value.as_deref();
    match value.and_then(|value| values.read(&message.topic, value)) {
        None => Ok(Cow::Borrowed(message)),
        Some(Ok(value)) => Ok(Cow::Owned(Message { value: Some(value), ..message.clone() })),
        Some(Err(Unread::Fault(why))) => Err(ErrorDetail::new("unreadable-value", why).into()),
        Some(Err(unread @ (Unread::OnItsWay | Unread::Away(_)))) => {
            Err(Unfound::Later(unread.to_string()))
        }
    }
}

/// What the locator finds: the correlation key under which somebody may wait; else why there is none.
pub(super) fn correlation(
    locator: &Locator,
    message: &Message,
    values: &dyn ValueReader,
) -> Result<String, Unfound> {
    let looks_into_it = matches!(locator, Locator::JsonPointer(_));
    let message = if looks_into_it { readable(values, message)? } else { Cow::Borrowed(message) };
    found(locator, &message).map_err(|what| ErrorDetail::new("no-correlation", what).into())
}

/// What the locator finds in a readable message: what a saga runs for; else why there is none.
pub(super) fn business_key(locator: &Locator, message: &Message) -> Result<String, ErrorDetail> {
    let key = found(locator, message).and_then(|key| match key.chars().count() {
        1..=500 => Ok(key),
        length => {
            Err(format!("the business key has {length} characters, and must have at most 500"))
        }
    });
    key.map_err(|what| ErrorDetail::new("no-business-key", what))
}

fn found(locator: &Locator, message: &Message) -> Result<String, String> {
    let text = |what: &str, bytes: Option<&[u8]>| {
        let bytes = bytes.ok_or_else(|| format!("the record has no {what}"))?;
        match str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(format!("the record's {what} is no text")),
        }
    };
    match locator {
        Locator::Key => text("key", message.key.as_deref()),
        Locator::Header(name) => {
            text(&format!("header {name:?}"), message.header(name).map(|value| &value[..]))
        }
        Locator::JsonPointer(pointer) => {
            let value = message.value.as_deref().unwrap_or_default();
            let value: Value = serde_json::from_slice(value)
                .map_err(|error| format!("the record's value is no JSON: {error}"))?;
            match value.pointer(pointer) {
                Some(Value::String(found)) => {
                    text(&format!("text at {pointer:?}"), Some(found.as_bytes()))
                }
                Some(Value::Number(found)) => Ok(found.to_string()),
                _ => Err(format!("the record's value has no text or number at {pointer:?}")),
            }
        }
    }
}

/// The key that all attempts of a task share: the one it has, else its sender's, else the message's own id, else its place in the log.
pub(super) fn idempotency_key(record: &TaskRecord, message: &Message) -> String {
    let of_sender = || header(message, "idempotency-key").or_else(|| header(message, "message-id"));
    record.idempotency_key.clone().or_else(of_sender).unwrap_or_else(|| {
        format!("{}/{}/{}/{}", record.cluster, message.topic, record.partition, record.offset)
    })
}

/// The last header of this name, if it is text.
pub(super) fn header(message: &Message, name: &str) -> Option<String> {
    let text = str::from_utf8(message.header(name)?).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wasaga_domain::{ids::TaskId, message::Header};

    use super::*;

    fn message(value: &'static str) -> Message {
        let header = |name: &str, value: &'static [u8]| Header {
            name: name.into(),
            value: Bytes::from_static(value),
        };
        Message {
            topic: "t".into(),
            key: Some(Bytes::from_static(b"k")),
            headers: vec![header("id", b"h"), header("bad", b"\xff"), header("nul", b"a\0")],
            value: Some(Bytes::from_static(value.as_bytes())),
        }
    }

    #[test]
    fn finds_what_is_text() {
        let message = message(r#"{"a": {"b": "x"}, "n": 7, "l": []}"#);
        let find = |locator| found(&locator, &message);
        let pointer = |pointer: &str| Locator::JsonPointer(pointer.into());
        assert_eq!(find(Locator::Key).as_deref(), Ok("k"));
        assert_eq!(find(Locator::Header("id".into())).as_deref(), Ok("h"));
        assert_eq!(find(pointer("/a/b")).as_deref(), Ok("x"));
        assert_eq!(find(pointer("/n")).as_deref(), Ok("7"));
        for nothing in [
            Locator::Header("bad".into()),
            Locator::Header("nul".into()),
            pointer("/l"),
            pointer("/x"),
        ] {
            find(nothing).expect_err("there is no text");
        }
        found(&pointer("/a"), &self::message("{")).expect_err("it is no JSON");
    }

    #[test]
    fn the_place_in_the_log_is_the_last_resort() {
        let mut message = message("");
        let record = TaskRecord {
            id: TaskId(1),
            cluster: "c".into(),
            partition: 2,
            offset: 3,
            interruptions: 0,
            idempotency_key: None,
            traceparent: None,
            reason: None,
            message: Ok(message.clone()),
        };
        assert_eq!(idempotency_key(&record, &message), "c/t/2/3");
        message.headers[0].name = "message-id".into();
        assert_eq!(idempotency_key(&record, &message), "h");
    }
}
