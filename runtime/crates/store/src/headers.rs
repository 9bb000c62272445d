//! Message headers as the tables keep them: a JSON array of `[name, value]` pairs in order, the value a string
//! where it is UTF-8 without NUL, else `{"base64": "…"}`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::{Value, json};
use wasaga_domain::message::{Header, Message};

/// For serde, as [`to_json`].
pub fn serialize<S: Serializer>(headers: &[Header], to: S) -> Result<S::Ok, S::Error> {
    to_json(headers).serialize(to)
}

/// For serde, as [`from_json`]; null is as good as none.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Header>, D::Error> {
    let pairs: Option<Value> = Option::deserialize(from)?;
    pairs.map_or(Ok(Vec::new()), |pairs| from_json(&pairs).map_err(D::Error::custom))
}

/// The column's value.
pub fn to_json(headers: &[Header]) -> Value {
    let pair = |header: &Header| {
        let value = match std::str::from_utf8(&header.value) {
            Ok(text) if !text.contains('\0') => json!(text),
            _ => json!({ "base64": STANDARD.encode(&header.value) }),
        };
        json!([header.name, value])
    };
    Value::Array(headers.iter().map(pair).collect())
}

/// The headers of a column's value, or what is wrong with it.
pub fn from_json(value: &Value) -> Result<Vec<Header>, String> {
    let pairs = value.as_array().ok_or("headers must be an array of [name, value] pairs")?;
    pairs.iter().map(header).collect()
}

fn header(pair: &Value) -> Result<Header, String> {
    let bad = || format!("header {pair}: must be [name, text] or [name, {{\"base64\": …}}]");
    let [Value::String(name), value] = pair.as_array().ok_or_else(bad)?.as_slice() else {
        return Err(bad());
    };
    let value = match (value, &value["base64"]) {
        (Value::String(text), _) => Bytes::from(text.clone()),
        (_, Value::String(encoded)) => STANDARD.decode(encoded).map_err(|_| bad())?.into(),
        _ => return Err(bad()),
    };
    Ok(Header { name: name.clone(), value })
}

/// A message as one JSON value: what `task_out.rollback` holds. Key and value are base64.
pub fn message_to_json(message: &Message) -> Value {
    let encode = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
    json!({
        "topic": message.topic,
        "key": encode(&message.key),
        "headers": to_json(&message.headers),
        "value": encode(&message.value),
    })
}

/// The message of such a value, or what is wrong with it.
pub fn message_from_json(value: &Value) -> Result<Message, String> {
    let decode = |name: &str| match &value[name] {
        Value::Null => Ok(None),
        Value::String(encoded) => match STANDARD.decode(encoded) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) => Err(format!("{name}: {error}")),
        },
        _ => Err(format!("{name}: must be base64 text or null")),
    };
    Ok(Message {
        topic: value["topic"].as_str().ok_or("topic: must be text")?.to_owned(),
        key: decode("key")?,
        headers: from_json(&value["headers"])?,
        value: decode("value")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_went() {
        let header = |name: &str, value: &'static [u8]| Header {
            name: name.into(),
            value: Bytes::from_static(value),
        };
        let message = Message {
            topic: "t".into(),
            key: Some(Bytes::from_static(b"\xff\x00")),
            headers: vec![header("a", b"text"), header("a", b"\xfe"), header("n", b"\0")],
            value: None,
        };
        assert_eq!(message_from_json(&message_to_json(&message)), Ok(message));
    }

    #[test]
    fn a_foreign_shape_is_named() {
        let error = from_json(&json!([["a", 1]])).expect_err("a number is no header");
        assert!(error.contains(r#"["a",1]"#), "{error}");
    }
}
