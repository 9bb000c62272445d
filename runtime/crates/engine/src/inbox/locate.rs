//! What a record's headers, key and value say to the inbox.

use std::str;

use wasaga_domain::{manifest::Locator, message::Message, outcome::ErrorDetail};
use wasaga_store::task_in::TaskRecord;

/// What the locator finds: the correlation key under which somebody may wait; else why there is none.
pub(super) fn correlation(locator: &Locator, message: &Message) -> Result<String, ErrorDetail> {
    let fault = |what: String| ErrorDetail::new("no-correlation", what);
    let text = |what: &str, bytes: Option<&[u8]>| {
        let bytes = bytes.ok_or_else(|| fault(format!("the record has no {what}")))?;
        match str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(fault(format!("the record's {what} is no text"))),
        }
    };
    match locator {
        Locator::Key => text("key", message.key.as_deref()),
        Locator::Header(name) => {
            text(&format!("header {name:?}"), message.header(name).map(|value| &value[..]))
        }
        Locator::JsonPointer(pointer) => {
            let value = message.value.as_deref().unwrap_or_default();
            let value: serde_json::Value = serde_json::from_slice(value)
                .map_err(|error| fault(format!("the record's value is no JSON: {error}")))?;
            match value.pointer(pointer) {
                Some(serde_json::Value::String(found)) => {
                    text(&format!("text at {pointer:?}"), Some(found.as_bytes()))
                }
                Some(serde_json::Value::Number(found)) => Ok(found.to_string()),
                _ => Err(fault(format!("the record's value has no text or number at {pointer:?}"))),
            }
        }
    }
}

/// What the locator finds: what a saga runs for; else why there is none.
pub(super) fn business_key(locator: &Locator, message: &Message) -> Result<String, ErrorDetail> {
    let fault = |what: String| ErrorDetail::new("no-business-key", what);
    let key = correlation(locator, message).map_err(|error| fault(error.message))?;
    match key.chars().count() {
        1..=500 => Ok(key),
        length => Err(fault(format!(
            "the business key has {length} characters, and must have at most 500"
        ))),
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
        let find = |locator| correlation(&locator, &message).map_err(|error| error.message);
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
        correlation(&pointer("/a"), &self::message("{")).expect_err("it is no JSON");
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
