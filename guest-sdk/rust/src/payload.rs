//! Bytes with their media type, and JSON in and out of them.

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::imports::wasaga::plugin::types::Payload;
use crate::failure::Failure;

/// The media type of JSON payloads.
pub const JSON: &str = "application/json";

impl Payload {
    /// A value as JSON.
    ///
    /// # Panics
    /// If the value cannot be JSON (a map whose keys are not strings, say): a mistake in the plugin, not in its data.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        Self::new(JSON, to_json(value))
    }

    /// Bytes with their media type.
    pub fn new(content_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self { content_type: content_type.into(), data: data.into() }
    }

    /// The JSON content; a permanent failure that says what does not fit and where.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        parse_json(&self.data)
    }
}

pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value that serializes to JSON")
}

pub(crate) fn parse_json<T: DeserializeOwned>(data: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(data).map_err(|error| {
        let wanted = std::any::type_name::<T>();
        Failure::permanent("undecodable-json", format!("not JSON for {wanted}: {error}"))
    })
}
