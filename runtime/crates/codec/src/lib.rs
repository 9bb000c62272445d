//! What records' values hold, as JSON: topic by topic a codec says how they are written. Nothing is ever written with
//! it: values stay the bytes they are, and what is read serves locators, schemas and people.

mod avro;
mod codecs;
mod framing;
mod protobuf;
mod registry;
mod schema;

use std::sync::Arc;

use serde::Deserialize;

pub use codecs::Codecs;
pub use registry::RegistryOptions;
use schema::{References, Schema};

/// How a topic's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON, which may have the frame of Confluent's serializer.
    Json,
    /// Avro: framed, or of a schema that is given.
    Avro,
    /// Protobuf: framed, or of a schema that is given.
    Protobuf,
}

/// A topic's codec.
#[derive(Clone, Debug)]
pub struct Codec {
    format: Format,
    /// Absent: the value's frame says which.
    schema: Option<Arc<Schema>>,
}

impl Codec {
    /// A codec whose values name their schemas, or need none.
    pub fn framed(format: Format) -> Self {
        Self { format, schema: None }
    }

    /// A codec of one schema, for values without a frame: Avro's JSON, or a Protobuf file and the full name of its message.
    /// Fails, saying why, where they don't fit.
    pub fn of(format: Format, schema: &str, message: Option<&str>) -> Result<Self, String> {
        let schema = match (format, message) {
            (Format::Json, _) => return Err("a codec of JSON takes no schema".into()),
            (Format::Avro, None) => Schema::avro(schema, &References::new())?,
            (Format::Avro, Some(_)) => return Err("a codec of Avro takes no message's name".into()),
            (Format::Protobuf, Some(_)) => Schema::protobuf(schema, &References::new(), message)?,
            (Format::Protobuf, None) => {
                return Err("a Protobuf schema has messages: name the values' one".into());
            }
        };
        Ok(Self { format, schema: Some(Arc::new(schema)) })
    }
}
