//! Schemas that are ready to read values with.

use std::{collections::BTreeMap, path::Path};

use apache_avro::reader::datum::GenericDatumReader;
use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, MessageDescriptor};
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};
use serde_json::Value;

use crate::framing;

/// The name under which a schema's own file is compiled.
const MAIN: &str = "wasaga-main.proto";

/// What a schema refers to, by the names it knows them by.
pub(crate) type References = BTreeMap<String, String>;

/// A schema.
#[derive(Clone, Debug)]
pub(crate) enum Schema {
    /// The value is JSON as it is; what its schema says is not checked.
    Json,
    Avro {
        own: apache_avro::Schema,
        others: Vec<apache_avro::Schema>,
    },
    /// A file of messages: the value says which it is.
    Protobuf(FileDescriptor),
    /// One message of a file.
    Message(MessageDescriptor),
}

impl Schema {
    pub(crate) fn avro(text: &str, references: &References) -> Result<Self, String> {
        let parsed = apache_avro::Schema::parse_str_with_list(text, references.values());
        let (own, others) = parsed.map_err(|error| format!("it is no Avro schema: {error}"))?;
        Ok(Self::Avro { own, others })
    }

    /// Of the messages of a file the one of this name, or all of them.
    pub(crate) fn protobuf(
        text: &str,
        references: &References,
        message: Option<&str>,
    ) -> Result<Self, String> {
        let pool = compiled(text, references)
            .map_err(|error| format!("it is no Protobuf schema: {error}"))?;
        let Some(name) = message else {
            let file = pool.get_file_by_name(MAIN).ok_or("it was not compiled")?;
            return Ok(Self::Protobuf(file));
        };
        let message = pool.get_message_by_name(name);
        message.map(Self::Message).ok_or_else(|| format!("it has no message {name}"))
    }

    /// Reads a value, behind the number of its schema.
    pub(crate) fn read(&self, value: &[u8]) -> Result<Value, String> {
        match self {
            Self::Json => {
                serde_json::from_slice(value).map_err(|error| format!("it is no JSON: {error}"))
            }
            Self::Avro { own, others } => avro(own, others, value)
                .map_err(|why| format!("it does not fit its Avro schema: {why}")),
            Self::Protobuf(file) => {
                let (path, value) = framing::message_path(value)
                    .ok_or("it does not say which message of its Protobuf schema it is")?;
                let message = message_at(file, &path)
                    .ok_or_else(|| format!("its Protobuf schema has no message at {path:?}"))?;
                protobuf(message, value)
            }
            Self::Message(message) => protobuf(message.clone(), value),
        }
    }
}

fn avro(
    own: &apache_avro::Schema,
    others: &[apache_avro::Schema],
    mut bytes: &[u8],
) -> Result<Value, String> {
    let all: Vec<_> = others.iter().chain([own]).collect();
    let mut read = || {
        let reader = GenericDatumReader::builder(own).writer_schemata(all.clone())?.build()?;
        let value = reader.read_value(&mut bytes)?;
        // Bytes that are missing at the end are read as null, whatever the schema says.
        value.resolve_schemata(own, all.clone())
    };
    let value = read().map_err(|error| error.to_string())?;
    if !bytes.is_empty() {
        return Err(format!("{} bytes are left over", bytes.len()));
    }
    value.try_into().map_err(|error: apache_avro::Error| error.to_string())
}

fn protobuf(message: MessageDescriptor, value: &[u8]) -> Result<Value, String> {
    let name = message.full_name().to_owned();
    let message = DynamicMessage::decode(message, value)
        .map_err(|error| format!("it is no Protobuf message {name}: {error}"))?;
    // As schemas and locators write them: what is absent stands with its default.
    let options = prost_reflect::SerializeOptions::new()
        .skip_default_fields(false)
        .use_proto_field_name(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| format!("the message {name} can't be JSON: {error}"))
}

fn message_at(file: &FileDescriptor, path: &[usize]) -> Option<MessageDescriptor> {
    let (first, within) = path.split_first()?;
    let outer = file.messages().nth(*first)?;
    within.iter().try_fold(outer, |outer, index| outer.child_messages().nth(*index))
}

/// The files that a schema refers to, which the registry gave.
struct Given(References);

impl FileResolver for Given {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        Some(path.to_str()?.to_owned())
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(source) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn compiled(text: &str, references: &References) -> Result<DescriptorPool, protox::Error> {
    let mut files = references.clone();
    files.insert(MAIN.to_owned(), text.to_owned());
    let mut resolver = ChainFileResolver::new();
    resolver.add(Given(files));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(MAIN)?;
    Ok(compiler.descriptor_pool())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORDER: &str = r#"syntax = "proto3"; package shop; import "money.proto"; import "google/protobuf/timestamp.proto";
        message Noise {}
        message Order { string order_id = 1; Money total = 2; message Line { int64 count = 1; } google.protobuf.Timestamp at = 3; }"#;
    const MONEY: &str = r#"syntax = "proto3"; package shop; message Money { int64 cents = 1; }"#;

    fn references(all: &[(&str, &str)]) -> References {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn avro_with_a_type_of_another_schema() {
        let money =
            r#"{"type": "record", "name": "Money", "fields": [{"name": "cents", "type": "long"}]}"#;
        let order = r#"{"type": "record", "name": "Order", "fields": [
            {"name": "order_id", "type": "string"}, {"name": "total", "type": ["null", "Money"]}]}"#;
        let schema = Schema::avro(order, &references(&[("money", money)])).unwrap();
        // "o-1", the second of the union, 75 in zigzag.
        let read = schema.read(b"\x06o-1\x02\x96\x01").unwrap();
        assert_eq!(read, json!({"order_id": "o-1", "total": {"cents": 75}}));
        for wrong in [&b"\x06o"[..], b"\x06o-1\x02\x96\x01\0", b""] {
            assert!(schema.read(wrong).unwrap_err().contains("does not fit its Avro schema"));
        }
        assert!(Schema::avro("{", &References::new()).unwrap_err().contains("no Avro schema"));
    }

    #[test]
    fn protobuf_by_the_place_of_the_message() {
        let schema = Schema::protobuf(ORDER, &references(&[("money.proto", MONEY)]), None).unwrap();
        let order = b"\x0a\x03o-1\x12\x02\x08\x4b";
        let read = schema.read(&[b"\x02\x02", &order[..]].concat()).unwrap();
        assert_eq!(read["order_id"], "o-1");
        assert_eq!(read["total"], json!({"cents": "75"}));
        assert_eq!(schema.read(b"\x04\x02\x00\x08\x07").unwrap(), json!({"count": "7"}));
        assert!(schema.read(b"\x02\x12").unwrap_err().contains("no message at [9]"));
    }

    #[test]
    fn protobuf_by_the_name_of_the_message() {
        let money = references(&[("money.proto", MONEY)]);
        let schema = Schema::protobuf(ORDER, &money, Some("shop.Order")).unwrap();
        assert_eq!(schema.read(b"\x0a\x03o-1").unwrap()["order_id"], "o-1");
        assert!(schema.read(b"\x0a\x09o").unwrap_err().contains("no Protobuf message shop.Order"));
        let missing = Schema::protobuf(ORDER, &money, Some("shop.Invoice")).unwrap_err();
        assert_eq!(missing, "it has no message shop.Invoice");
        let unknown = Schema::protobuf(ORDER, &References::new(), None).unwrap_err();
        assert!(unknown.contains("money.proto"), "{unknown}");
    }
}
