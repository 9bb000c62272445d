//! What records' values hold, as JSON: topic by topic a codec says how they are written. Nothing is ever written with
//! it: values stay the bytes they are, and what is read serves locators, schemas and people.

mod framing;
mod registry;
mod schema;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::runtime::Handle;

pub use registry::RegistryOptions;
use registry::{Missing, Registry};
use schema::{References, Schema};

/// Before a schema that is not there is asked for again, of a registry that is away and of one that does not have it.
const AWAY: Duration = Duration::from_secs(1);
const UNKNOWN: Duration = Duration::from_mins(1);
/// Schemas that are remembered; then all are forgotten.
const SCHEMAS: usize = 10_000;

/// How a topic's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Why a value was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Its schema is on its way: the same again in a moment.
    Later,
    /// It can't be.
    Fault(String),
}

enum Entry {
    Here(Arc<Schema>),
    OnItsWay,
    Missing(Missing, Instant),
}

/// The codecs of all topics. Cheap to clone.
#[derive(Clone)]
pub struct Codecs(Arc<Shared>);

struct Shared {
    /// The first pattern that fits counts.
    topics: Vec<(String, Codec)>,
    registry: Option<Registry>,
    schemas: Mutex<HashMap<u32, Entry>>,
    runtime: Handle,
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.topics.iter().map(|(topic, codec)| (topic, codec.format)))
            .finish()
    }
}

impl Codecs {
    /// Codecs by topic, or by a prefix with `*` behind it; of several the first that fits, and JSON for all others. Must
    /// be called within a tokio runtime.
    pub fn new(
        topics: Vec<(String, Codec)>,
        registry: Option<RegistryOptions>,
    ) -> Result<Self, String> {
        Ok(Self(Arc::new(Shared {
            topics,
            registry: registry.map(Registry::new).transpose()?,
            schemas: Mutex::default(),
            runtime: Handle::current(),
        })))
    }

    /// What a record's value holds.
    pub fn read(&self, topic: &str, value: &[u8]) -> Result<Value, Unread> {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => topic == pattern,
        };
        let codec = self.0.topics.iter().find(|(pattern, _)| fits(pattern)).map(|(_, codec)| codec);
        let Codec { format, schema } = codec.cloned().unwrap_or(Codec::framed(Format::Json));
        let frame = framing::framed(value);
        let read = match (schema, frame, format) {
            (Some(schema), ..) => schema.read(value),
            // No schema is needed to read it.
            (None, Some(frame), Format::Json) => Schema::Json.read(frame.rest),
            (None, None, Format::Json) => Schema::Json.read(value),
            (None, Some(frame), _) => self.schema(frame.schema)?.read(frame.rest),
            (None, None, _) => Err(
                "it names no schema: it does not begin with the zero byte of Confluent's framing"
                    .into(),
            ),
        };
        read.map_err(|why| Unread::Fault(format!("the record's value can't be read: {why}")))
    }

    fn schema(&self, number: u32) -> Result<Arc<Schema>, Unread> {
        if self.0.registry.is_none() {
            let why =
                format!("the record's value is of schema {number}, and no registry is configured");
            return Err(Unread::Fault(why));
        }
        let mut schemas = self.schemas();
        match schemas.get(&number) {
            Some(Entry::Here(schema)) => return Ok(schema.clone()),
            Some(Entry::OnItsWay) => return Err(Unread::Later),
            Some(Entry::Missing(Missing::Away(_), at)) if at.elapsed() < AWAY => {
                return Err(Unread::Later);
            }
            Some(Entry::Missing(Missing::Unknown(why), at)) if at.elapsed() < UNKNOWN => {
                return Err(Unread::Fault(format!("the record's value can't be read: {why}")));
            }
            Some(Entry::Missing(..)) | None => {}
        }
        if schemas.len() >= SCHEMAS {
            schemas.clear();
        }
        schemas.insert(number, Entry::OnItsWay);
        let all = self.clone();
        self.0.runtime.spawn(async move { all.fetch(number).await });
        Err(Unread::Later)
    }

    async fn fetch(&self, number: u32) {
        let Some(registry) = &self.0.registry else { return };
        let entry = match registry.schema(number).await {
            Ok(schema) => Entry::Here(Arc::new(schema)),
            Err(missing) => {
                match &missing {
                    Missing::Away(why) => {
                        tracing::warn!(schema = number, "the schema registry is away: {why}")
                    }
                    Missing::Unknown(why) => tracing::warn!(schema = number, "{why}"),
                }
                Entry::Missing(missing, Instant::now())
            }
        };
        self.schemas().insert(number, entry);
    }

    fn schemas(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.0.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
