//! Bytes with their media type.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What JSON payloads say they are.
pub const JSON: &str = "application/json";

/// Bytes with their media type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// A media type, as `application/json`.
    pub content_type: Cow<'static, str>,
    /// The content.
    #[serde(with = "crate::base64_bytes")]
    pub data: Bytes,
}

impl Payload {
    /// A JSON payload of bytes that are JSON already.
    pub fn json(data: impl Into<Bytes>) -> Self {
        Self { content_type: Cow::Borrowed(JSON), data: data.into() }
    }

    /// A payload with any media type; the common one is not copied.
    pub fn new(content_type: String, data: impl Into<Bytes>) -> Self {
        let content_type =
            if content_type == JSON { Cow::Borrowed(JSON) } else { Cow::Owned(content_type) };
        Self { content_type, data: data.into() }
    }
}
