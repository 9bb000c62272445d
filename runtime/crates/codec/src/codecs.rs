//! The codecs of all topics, and the schemas that their values name.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use wasaga_domain::value_reader::{Unread, ValueReader};

use crate::{
    Codec, Format, RegistryOptions, framing,
    registry::{Missing, Registry},
    schema::Schema,
};

/// Before a schema that is not there is asked for again, of a registry that is away and of one that does not have it.
const AWAY: Duration = Duration::from_secs(1);
const UNKNOWN: Duration = Duration::from_mins(1);
/// Schemas that are remembered; then all are forgotten.
const SCHEMAS: usize = 10_000;
/// Requests to the registry at once.
const REQUESTS: usize = 8;

/// The codecs of all topics, to be used within a tokio runtime. Cheap to clone.
#[derive(Clone)]
pub struct Codecs(Arc<Shared>);

struct Shared {
    /// The first pattern that fits counts.
    topics: Vec<(String, Codec)>,
    registry: Option<Registry>,
    requests: Semaphore,
    schemas: Mutex<HashMap<u32, Entry>>,
    /// Told of each answer of the registry; whether it was away.
    away: watch::Sender<bool>,
}

enum Entry {
    Here(Arc<Schema>),
    OnItsWay,
    Missing(Missing, Instant),
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.topics.iter().map(|(topic, codec)| (topic, codec.format)))
            .finish()
    }
}

impl Codecs {
    /// Codecs by topic, or by a prefix with `*` behind it: of several the topic itself, then the longest prefix. Fails,
    /// saying which (`url` or `ca_file`) and why, where the registry's options don't fit.
    pub fn new(
        mut topics: Vec<(String, Codec)>,
        registry: Option<RegistryOptions>,
    ) -> Result<Self, String> {
        topics.sort_by_key(|(pattern, _)| (pattern.ends_with('*'), Reverse(pattern.len())));
        Ok(Self(Arc::new(Shared {
            topics,
            registry: registry.map(Registry::new).transpose()?,
            requests: Semaphore::new(REQUESTS),
            schemas: Mutex::default(),
            away: watch::Sender::new(false),
        })))
    }

    fn codec(&self, topic: &str) -> Option<&Codec> {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => topic == pattern,
        };
        self.0.topics.iter().find(|(pattern, _)| fits(pattern)).map(|(_, codec)| codec)
    }

    fn schema(&self, number: u32) -> Result<Arc<Schema>, Unread> {
        if self.0.registry.is_none() {
            let why = format!("it is of schema {number}, and no registry is configured");
            return Err(Unread::Fault(why));
        }
        let mut schemas = self.schemas();
        match schemas.get(&number) {
            Some(Entry::Here(schema)) => return Ok(schema.clone()),
            Some(Entry::OnItsWay) => return Err(Unread::OnItsWay),
            Some(Entry::Missing(Missing::Away(why), at)) if at.elapsed() < AWAY => {
                return Err(Unread::Away(format!("the schema registry is away: {why}")));
            }
            Some(Entry::Missing(Missing::Unknown(why), at)) if at.elapsed() < UNKNOWN => {
                return Err(Unread::Fault(why.clone()));
            }
            Some(Entry::Missing(..)) | None => {}
        }
        if schemas.len() >= SCHEMAS {
            schemas.clear();
        }
        schemas.insert(number, Entry::OnItsWay);
        let all = self.clone();
        tokio::spawn(async move { all.fetch(number).await });
        Err(Unread::OnItsWay)
    }

    async fn fetch(&self, number: u32) {
        let Some(registry) = &self.0.registry else { return };
        let answer = {
            let _turn = self.0.requests.acquire().await;
            registry.schema(number).await
        };
        let is_away = matches!(answer, Err(Missing::Away(_)));
        let entry = match answer {
            Ok(schema) => Entry::Here(Arc::new(schema)),
            Err(missing) => {
                match &missing {
                    Missing::Away(why) if !*self.0.away.borrow() => {
                        tracing::warn!(
                            schema = number,
                            "the schema registry is away, and what needs it waits: {why}"
                        );
                    }
                    Missing::Away(_) => {}
                    Missing::Unknown(why) => {
                        tracing::warn!(schema = number, "the schema can't be used: {why}");
                    }
                }
                Entry::Missing(missing, Instant::now())
            }
        };
        self.schemas().insert(number, entry);
        if self.0.away.send_replace(is_away) && !is_away {
            tracing::info!("the schema registry answers again");
        }
    }

    fn schemas(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.0.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ValueReader for Codecs {
    fn read(&self, topic: &str, value: &[u8]) -> Option<Result<Bytes, Unread>> {
        let Codec { format, schema } = self.codec(topic)?;
        let read = || match (schema, framing::framed(value), format) {
            (Some(schema), ..) => schema.read(value).map_err(Unread::Fault),
            // No schema is needed to read it.
            (None, Some(frame), Format::Json) => {
                Schema::Json.read(frame.rest).map_err(Unread::Fault)
            }
            (None, None, Format::Json) => Schema::Json.read(value).map_err(Unread::Fault),
            (None, Some(frame), _) => {
                self.schema(frame.schema)?.read(frame.rest).map_err(Unread::Fault)
            }
            (None, None, _) => Err(Unread::Fault(
                "it names no schema: it does not begin with the zero byte of Confluent's framing"
                    .into(),
            )),
        };
        Some(read().map_err(|unread| match unread {
            Unread::Fault(why) => Unread::Fault(format!("the record's value can't be read: {why}")),
            later => later,
        }))
    }

    async fn read_within(
        &self,
        topic: &str,
        value: &[u8],
        patience: Duration,
    ) -> Option<Result<Bytes, Unread>> {
        let mut answers = self.0.away.subscribe();
        let read = async {
            loop {
                answers.mark_unchanged();
                match self.read(topic, value) {
                    Some(Err(Unread::OnItsWay)) => {}
                    read => return read,
                }
                if answers.changed().await.is_err() {
                    return None;
                }
            }
        };
        let read = tokio::time::timeout(patience, read).await;
        read.unwrap_or(Some(Err(Unread::OnItsWay)))
    }
}
