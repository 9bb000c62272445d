//! Bytes in JSON as base64 text: serde's own way, an array of numbers, takes twelve bytes of jsonb for each.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// For serde.
pub fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

/// For serde.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    STANDARD.decode(String::deserialize(from)?).map(Bytes::from).map_err(D::Error::custom)
}

/// The same where there may be none.
pub mod option {
    #![allow(clippy::ref_option, reason = "serde hands over a reference to the field")]

    use base64::Engine as _;

    use super::{Bytes, Deserialize, Deserializer, Error, STANDARD, Serializer};

    /// For serde.
    pub fn serialize<S: Serializer>(bytes: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => to.serialize_some(&STANDARD.encode(bytes)),
            None => to.serialize_none(),
        }
    }

    /// For serde.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
        let text: Option<String> = Option::deserialize(from)?;
        let decoded = text.map(|text| STANDARD.decode(text)).transpose();
        decoded.map(|bytes| bytes.map(Bytes::from)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::message::Message;
    use bytes::Bytes;

    #[test]
    fn bytes_come_back_as_they_went() {
        let message = Message {
            topic: "t".into(),
            key: Some(Bytes::from_static(b"\xff\0")),
            headers: vec![],
            value: None,
        };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(json, r#"{"topic":"t","key":"/wA=","headers":[],"value":null}"#);
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message);
    }
}
