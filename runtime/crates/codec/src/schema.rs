//! Schemas that are ready to read values with.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::{FileDescriptor, MessageDescriptor};
use serde_json::value::RawValue;

use crate::{avro, framing, protobuf};

/// What a schema refers to, by the names it knows them by.
pub(crate) type References = BTreeMap<String, String>;

/// A schema.
#[derive(Clone, Debug)]
pub(crate) enum Schema {
    /// The value is JSON as it is; what its schema says is not checked.
    Json,
    /// Boxed, as it is many times larger than the others.
    Avro(Box<avro::Schema>),
    /// A file of messages: the value says which it is.
    Protobuf(FileDescriptor),
    /// One message of a file.
    Message(MessageDescriptor),
}

impl Schema {
    pub(crate) fn avro(text: &str, references: &References) -> Result<Self, String> {
        let schema = avro::Schema::parse(text, references);
        let schema = schema.map_err(|why| format!("it is no Avro schema: {why}"))?;
        Ok(Self::Avro(Box::new(schema)))
    }

    /// Of the messages of a file the one of this name, or all of them.
    pub(crate) fn protobuf(
        text: &str,
        references: &References,
        message: Option<&str>,
    ) -> Result<Self, String> {
        let file = protobuf::compiled(text, references)
            .map_err(|why| format!("it is no Protobuf schema: {why}"))?;
        let Some(name) = message else { return Ok(Self::Protobuf(file)) };
        let message = file.parent_pool().get_message_by_name(name);
        message.map(Self::Message).ok_or_else(|| format!("it has no message {name}"))
    }

    /// Reads a value, behind the number of its schema: JSON text.
    pub(crate) fn read(&self, value: &[u8]) -> Result<Bytes, String> {
        match self {
            Self::Json => {
                let json = serde_json::from_slice::<&RawValue>(value);
                let json = json.map_err(|error| format!("it is no JSON: {error}"))?;
                Ok(Bytes::copy_from_slice(json.get().as_bytes()))
            }
            Self::Avro(schema) => {
                schema.read(value).map_err(|why| format!("it does not fit its Avro schema: {why}"))
            }
            Self::Protobuf(file) => {
                let (path, value) = framing::message_path(value)
                    .ok_or("it does not say which message of its Protobuf schema it is")?;
                let message = protobuf::message_at(file, &path)
                    .ok_or_else(|| format!("its Protobuf schema has no message at {path:?}"))?;
                protobuf::read(message, value)
            }
            Self::Message(message) => protobuf::read(message.clone(), value),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ORDER: &str = r#"syntax = "proto3"; package shop; import "money.proto"; import "google/protobuf/timestamp.proto";
        message Noise {}
        message Order { string order_id = 1; Money total = 2; message Line { int64 count = 1; } google.protobuf.Timestamp at = 3; }"#;
    const MONEY: &str = r#"syntax = "proto3"; package shop; message Money { int64 cents = 1; }"#;

    fn references(all: &[(&str, &str)]) -> References {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn read(schema: &Schema, value: &[u8]) -> Result<Value, String> {
        schema.read(value).map(|json| serde_json::from_slice(&json).unwrap())
    }

    #[test]
    fn avro_with_a_type_of_another_schema() {
        let money =
            r#"{"type": "record", "name": "Money", "fields": [{"name": "cents", "type": "long"}]}"#;
        let order = r#"{"type": "record", "name": "Order", "fields": [
            {"name": "order_id", "type": "string"}, {"name": "total", "type": ["null", "Money"]}]}"#;
        let schema = Schema::avro(order, &references(&[("money", money)])).unwrap();
        // "o-1", the second of the union, 75 in zigzag.
        let order = read(&schema, b"\x06o-1\x02\x96\x01").unwrap();
        assert_eq!(order, json!({"order_id": "o-1", "total": {"cents": 75}}));
        for wrong in [&b"\x06o"[..], b"\x06o-1\x02\x96\x01\0", b""] {
            assert!(read(&schema, wrong).unwrap_err().contains("does not fit its Avro schema"));
        }
        assert!(Schema::avro("{", &References::new()).unwrap_err().contains("no Avro schema"));
    }

    #[test]
    fn protobuf_by_the_place_of_the_message() {
        let schema = Schema::protobuf(ORDER, &references(&[("money.proto", MONEY)]), None).unwrap();
        let order = b"\x0a\x03o-1\x12\x02\x08\x4b";
        let order = read(&schema, &[b"\x02\x02", &order[..]].concat()).unwrap();
        assert_eq!(order["order_id"], "o-1");
        assert_eq!(order["total"], json!({"cents": "75"}));
        assert_eq!(read(&schema, b"\x04\x02\x00\x08\x07").unwrap(), json!({"count": "7"}));
        assert!(read(&schema, b"\x02\x12").unwrap_err().contains("no message at [9]"));
    }

    #[test]
    fn protobuf_by_the_name_of_the_message() {
        let money = references(&[("money.proto", MONEY)]);
        let schema = Schema::protobuf(ORDER, &money, Some("shop.Order")).unwrap();
        assert_eq!(read(&schema, b"\x0a\x03o-1").unwrap()["order_id"], "o-1");
        assert!(
            read(&schema, b"\x0a\x09o").unwrap_err().contains("no Protobuf message shop.Order")
        );
        let missing = Schema::protobuf(ORDER, &money, Some("shop.Invoice")).unwrap_err();
        assert_eq!(missing, "it has no message shop.Invoice");
        let unknown = Schema::protobuf(ORDER, &References::new(), None).unwrap_err();
        assert!(unknown.contains("money.proto"), "{unknown}");
    }
}
