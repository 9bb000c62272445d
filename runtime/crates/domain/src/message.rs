//! Kafka records, as they come in and as they go out.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A header of a record; the same name may come more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name, UTF-8.
    pub name: String,
    /// Its value, any bytes.
    #[serde(with = "crate::base64_bytes")]
    pub value: Bytes,
}

/// A Kafka record, consumed or to be produced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The topic's name.
    pub topic: String,
    /// Absent: the record has no place in any order.
    #[serde(with = "crate::base64_bytes::option")]
    pub key: Option<Bytes>,
    /// In the order of the record.
    pub headers: Vec<Header>,
    /// Absent: a tombstone.
    #[serde(with = "crate::base64_bytes::option")]
    pub value: Option<Bytes>,
}

impl Message {
    /// The last header of this name, as the Kafka clients read it.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().rev().find(|header| header.name == name).map(|header| &header.value)
    }
}

/// A message to send, and the one to publish instead when it is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The message.
    pub message: Message,
    /// Published instead when the message is given up.
    pub rollback: Option<Message>,
}
