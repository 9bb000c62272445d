//! Kafka records, as they come in and as they go out, and the other effects.

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::imports::wasaga::plugin::types::{
    Effect, Header, Message, Outgoing, SagaSignal, SagaStart, SagaTarget,
};
use crate::{
    failure::Failure,
    payload::{Payload, parse_json, to_json},
};

impl Message {
    /// A record for this topic, still without key, headers and value (so: a tombstone).
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), key: None, headers: Vec::new(), value: None }
    }

    /// Records of one key keep their order.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// One more header; the same name may come more than once.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// The record's value.
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// The record's value, as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.value(to_json(value))
    }

    /// The last header of this name that is UTF-8, as the Kafka clients read it.
    pub fn header_text(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().rev().find(|header| header.name == name)?;
        std::str::from_utf8(&header.value).ok()
    }

    /// As [`header_text`](Self::header_text); a permanent failure that names the header when it is missing.
    pub fn require_header(&self, name: &str) -> Result<&str, Failure> {
        self.header_text(name).ok_or_else(|| {
            let topic = &self.topic;
            let message = format!("a record of topic {topic:?} has no text header {name:?}");
            Failure::permanent("missing-header", message)
        })
    }

    /// The value as JSON; a permanent failure if there is none or it does not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let value = self.value.as_deref().ok_or_else(|| {
            let message = format!("a record of topic {:?} has no value", self.topic);
            Failure::permanent("missing-value", message)
        })?;
        parse_json(value)
    }
}

/// Send this when the result that returns it is committed.
pub fn send(message: Message) -> Effect {
    Effect::Send(Outgoing { message, rollback: None })
}

/// As [`send`]; `rollback` is published instead when the message is given up.
pub fn send_or(message: Message, rollback: Message) -> Effect {
    Effect::Send(Outgoing { message, rollback: Some(rollback) })
}

/// Start a saga when the result that returns it is committed; its input as JSON. Under a business key that was used
/// before it is that saga.
pub fn start<T: Serialize + ?Sized>(saga: impl Into<String>, input: &T) -> SagaStart {
    SagaStart { saga: saga.into(), business_key: None, input: Payload::json(input), child: None }
}

impl SagaStart {
    /// Starting twice under one key starts once.
    pub fn key(mut self, business_key: impl Into<String>) -> Self {
        self.business_key = Some(business_key.into());
        self
    }

    /// A child under this name: its end can be waited for, and it is cancelled when its parent turns back.
    pub fn child(mut self, name: impl Into<String>) -> Self {
        self.child = Some(name.into());
        self
    }
}

impl From<SagaStart> for Effect {
    fn from(start: SagaStart) -> Self {
        Self::Start(start)
    }
}

/// A saga by its definition and business key.
pub fn saga_of(saga: impl Into<String>, business_key: impl Into<String>) -> SagaTarget {
    SagaTarget::BusinessKey((saga.into(), business_key.into()))
}

/// Send a saga a signal when the result that returns it is committed; what it carries as JSON.
pub fn signal<T: Serialize + ?Sized>(
    target: SagaTarget,
    name: impl Into<String>,
    carries: &T,
) -> Effect {
    Effect::Signal(SagaSignal { target, name: name.into(), payload: Payload::json(carries) })
}

/// Ask a saga to turn back when the result that returns it is committed.
pub fn cancel(target: SagaTarget) -> Effect {
    Effect::Cancel(target)
}
