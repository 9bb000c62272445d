//! What `wasaga.emit` checks and makes of a message, for an outbox that is not in Postgres.

use bytes::Bytes;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;
use wasaga_domain::{
    clock::{Clock as _, SystemClock},
    message::Header,
};

use crate::{
    emit::{NewMessage, RollbackMessage},
    headers,
    task_out::TaskOut,
};

/// Of key, payload and headers together, in bytes.
const LARGEST: usize = 10 << 20;

/// A message that can be added.
pub(crate) struct Checked {
    /// The record; it has no id yet.
    pub task: TaskOut,
    /// The record to send once it is given up.
    pub rollback: Option<TaskOut>,
    /// What must be the same under one idempotency key.
    pub content: Value,
    pub aggregate_id: Option<String>,
    pub event_type: Option<String>,
}

/// The record of a message, the `n`th of those that are emitted together; else what is wrong with it.
pub(crate) fn checked(n: usize, message: &NewMessage) -> Result<Checked, String> {
    let NewMessage { idempotency_key, aggregate_id, event_type, cloud_event_source, .. } = message;
    let within = |why: String| format!("message {n}: {why}");
    for (name, text) in [
        ("idempotency_key", idempotency_key),
        ("aggregate_id", aggregate_id),
        ("event_type", event_type),
        ("cloud_event_source", cloud_event_source),
    ] {
        let length = text.as_ref().map_or(1, |text| text.chars().count());
        if !(1..=500).contains(&length) {
            return Err(within(format!("{name} must have 1 to 500 characters, and has {length}")));
        }
    }
    if let Some(most) = message.max_attempts.filter(|most| *most < 1) {
        return Err(within(format!(
            "max_attempts must be at least 1, and is {most}: leave it out for the relay's"
        )));
    }
    if let Some(trace) = message.traceparent.as_ref().filter(|trace| !is_traceparent(trace)) {
        return Err(within(format!("traceparent {trace:?} is none of W3C's trace context")));
    }
    if cloud_event_source.is_some() && event_type.is_none() {
        return Err(within(
            "a CloudEvent must have an event_type: give one, as \"order.placed\", or leave cloud_event_source out"
                .into(),
        ));
    }
    let record = RollbackMessage {
        topic: message.topic.clone(),
        key: message.key.clone(),
        key_bytes: message.key_bytes.clone(),
        payload: message.payload.clone(),
        payload_bytes: message.payload_bytes.clone(),
        headers: message.headers.clone(),
    };
    let mut task = record_of(&record).map_err(within)?;
    let rollback = message.rollback.as_ref().map(record_of).transpose();
    let mut rollback = rollback.map_err(|why| within(format!("rollback: {why}")))?;
    task.idempotency_key.clone_from(idempotency_key);
    task.traceparent.clone_from(&message.traceparent);
    task.max_attempts = message.max_attempts;
    if let Some(rollback) = &mut rollback {
        rollback.idempotency_key = idempotency_key.as_ref().map(|key| format!("{key}/rollback"));
        rollback.traceparent.clone_from(&message.traceparent);
    }
    let parts = |task: &TaskOut| json!([task.topic, task.key, task.value, task.headers]);
    let content = json!([
        parts(&task),
        rollback.as_ref().map(parts),
        aggregate_id,
        event_type,
        cloud_event_source
    ]);
    if let Some(source) = cloud_event_source {
        let headers = cloud_event(message, source, task.message_id);
        task.headers = headers::to_json(&headers);
    }
    let (aggregate_id, event_type) = (aggregate_id.clone(), event_type.clone());
    Ok(Checked { task, rollback, content, aggregate_id, event_type })
}

fn record_of(message: &RollbackMessage) -> Result<TaskOut, String> {
    let RollbackMessage { topic, key, key_bytes, payload, payload_bytes, headers } = message;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !(1..=249).contains(&topic.len())
        || !topic.chars().all(is_name)
        || topic == "."
        || topic == ".."
    {
        return Err(format!("{topic:?} is no topic's name: it has 1 to 249 of a-z A-Z 0-9 . _ -"));
    }
    for (name, are_both) in [
        ("key", key.is_some() && key_bytes.is_some()),
        ("payload", payload.is_some() && payload_bytes.is_some()),
    ] {
        if are_both {
            return Err(format!("{name} and {name}_bytes are both given: give one of them"));
        }
    }
    if headers.iter().any(|header| header.name == "message-id") {
        return Err("the header \"message-id\" is written by the relay: leave it out, or give it another name".into());
    }
    let key = key
        .as_ref()
        .map(|key| key.as_bytes().to_vec())
        .or(key_bytes.as_ref().map(|key| key.to_vec()));
    let value = match payload {
        Some(payload) => Some(printed(payload)?),
        None => payload_bytes.as_ref().map(|payload| payload.to_vec()),
    };
    let headers = headers::to_json(headers);
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let size = length(&key) + length(&value) + headers.to_string().len();
    if size > LARGEST {
        return Err(format!(
            "key, payload and headers have {size} bytes, and may have {LARGEST}: store what is large elsewhere, \
             and send where it is"
        ));
    }
    Ok(TaskOut {
        id: 0,
        message_id: Uuid::new_v4(),
        saga_id: None,
        idempotency_key: None,
        traceparent: None,
        topic: topic.clone(),
        key,
        headers,
        value,
        attempts: 0,
        max_attempts: None,
    })
}

/// JSON with its members in one order, so that the same content is the same bytes.
fn printed(json: &RawValue) -> Result<Vec<u8>, String> {
    let value: Value = serde_json::from_str(json.get())
        .map_err(|error| format!("payload is not JSON: {error}"))?;
    Ok(value.to_string().into_bytes())
}

fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let is_hex =
        |part: &&str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]) && parts.iter().all(is_hex)
}

/// The message's headers with the attributes of a `CloudEvent`, in the binary mode of its Kafka binding.
fn cloud_event(message: &NewMessage, source: &str, id: Uuid) -> Vec<Header> {
    let has_type = message.headers.iter().any(|header| header.name == "content-type");
    let is_json = message.payload.is_some() && !has_type;
    let attributes = [
        ("ce_specversion", Some("1.0".to_owned())),
        ("ce_id", Some(id.to_string())),
        ("ce_source", Some(source.to_owned())),
        ("ce_type", message.event_type.clone()),
        ("ce_subject", message.aggregate_id.clone()),
        ("ce_time", Some(SystemClock.now().to_string())),
        ("content-type", is_json.then(|| "application/json".to_owned())),
    ];
    let attributes = attributes.into_iter().filter_map(|(name, value)| {
        Some(Header { name: name.to_owned(), value: Bytes::from(value?) })
    });
    message.headers.iter().cloned().chain(attributes).collect()
}
