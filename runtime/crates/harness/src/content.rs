//! Bytes and what carries them, as scenarios write them: JSON where they are JSON, else text, else `{"base64": …}`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use wasaga_domain::{
    message::{Header, Message, Outgoing},
    outcome::{Effect, WaitSource},
    payload::Payload,
};

/// A payload of a scenario's value.
pub(crate) fn payload(value: &Value) -> Payload {
    Payload::json(value.to_string())
}

/// Bytes of a scenario's value: text as it is, `{"base64": …}` decoded, everything else as JSON.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let encoded = value.as_object().filter(|object| object.len() == 1);
    let encoded = encoded.and_then(|object| object.get("base64")).and_then(Value::as_str);
    if let Some(bytes) = encoded.and_then(|encoded| STANDARD.decode(encoded).ok()) {
        return bytes;
    }
    match value {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

/// What bytes are shown as.
pub(crate) fn shown(bytes: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return value;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// A message as scenarios have it: `{topic, key, headers: {name: value}, value}`.
pub(crate) fn message(message: &Message) -> Value {
    let header = |Header { name, value }: &Header| (name.clone(), text(value));
    json!({
        "topic": message.topic,
        "key": message.key.as_deref().map(text),
        "headers": message.headers.iter().map(header).collect::<serde_json::Map<_, _>>(),
        "value": message.value.as_deref().map(shown),
    })
}

/// Keys and headers are text where they can be, also where they look like a number.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// An effect as scenarios have it: `{send | start | signal | cancel: …}`.
pub(crate) fn effect(effect: &Effect) -> Value {
    match effect {
        Effect::Send(Outgoing { message: sent, rollback }) => {
            let mut shown = message(sent);
            shown["rollback"] = rollback.as_ref().map(message).unwrap_or_default();
            json!({ "send": shown })
        }
        Effect::Start(start) => json!({ "start": {
            "saga": start.saga.definition, "business_key": start.saga.business_key, "child": start.child,
            "input": shown(&start.saga.input.data),
        } }),
        Effect::Signal { saga, name, payload } => json!({ "signal": {
            "saga": saga.to_string(), "name": name, "payload": shown(&payload.data),
        } }),
        Effect::Cancel(saga) => json!({ "cancel": saga.to_string() }),
    }
}

/// What a step waits for, as scenarios have it.
pub(crate) fn source(source: &WaitSource) -> Value {
    match source {
        WaitSource::Message { topic, correlation } => {
            json!({ "message": { "topic": topic, "correlation": correlation } })
        }
        WaitSource::Signal(name) => json!({ "signal": name }),
        WaitSource::Child(name) => json!({ "child": name }),
    }
}
