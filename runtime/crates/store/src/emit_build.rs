//! Messages, put together by name.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Error, value::to_raw_value};
use wasaga_domain::message::Header;

use crate::emit::{NewMessage, RollbackMessage};

impl NewMessage {
    /// A message to this topic: a tombstone without a key, until it is told otherwise.
    pub fn to(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// Of one topic and key messages keep their order.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), key_bytes: None, ..self }
    }

    /// A key that is no text.
    #[must_use]
    pub fn key_bytes(self, key: impl Into<Bytes>) -> Self {
        Self { key: None, key_bytes: Some(key.into()), ..self }
    }

    /// The record's value, as JSON. Fails where serde can't write it.
    pub fn json<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, Error> {
        let json = to_raw_value(payload)?;
        // As a member of a message, null is as good as absent.
        if json.get() == "null" {
            return Ok(self.bytes(Bytes::from_static(b"null")));
        }
        Ok(Self { payload: Some(json), payload_bytes: None, ..self })
    }

    /// The record's value, as it is.
    #[must_use]
    pub fn bytes(self, payload: impl Into<Bytes>) -> Self {
        Self { payload: None, payload_bytes: Some(payload.into()), ..self }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// Under one key only the first message is sent.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { idempotency_key: Some(key.into()), ..self }
    }

    /// What is sent in its place once it is given up: topic, key, payload and headers of this message.
    #[must_use]
    pub fn rollback(self, message: Self) -> Self {
        let Self { topic, key, key_bytes, payload, payload_bytes, headers, .. } = message;
        let rollback = RollbackMessage { topic, key, key_bytes, payload, payload_bytes, headers };
        Self { rollback: Some(rollback), ..self }
    }

    /// What it is about.
    #[must_use]
    pub fn aggregate_id(self, id: impl Into<String>) -> Self {
        Self { aggregate_id: Some(id.into()), ..self }
    }

    /// What it says has happened.
    #[must_use]
    pub fn event_type(self, event_type: impl Into<String>) -> Self {
        Self { event_type: Some(event_type.into()), ..self }
    }

    /// Refusals by the broker until it is given up, at least 1.
    #[must_use]
    pub fn max_attempts(self, most: i32) -> Self {
        Self { max_attempts: Some(most), ..self }
    }

    /// Makes it a `CloudEvent` of this source; it needs an event type.
    #[must_use]
    pub fn cloud_event(self, source: impl Into<String>) -> Self {
        Self { cloud_event_source: Some(source.into()), ..self }
    }

    /// W3C trace context.
    #[must_use]
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        Self { traceparent: Some(traceparent.into()), ..self }
    }
}
