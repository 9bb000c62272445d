//! What records' values hold: the port to the codecs of topics.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Reads values by the codecs of their topics. Nothing is written by it: values stay the bytes they are.
#[async_trait]
pub trait ValueReader: Send + Sync + 'static {
    /// What a value holds, as JSON text; nothing where its topic has no codec. Returns at once, and asks for a schema that is
    /// not here.
    fn read(&self, topic: &str, value: &[u8]) -> Option<Result<Bytes, Unread>>;

    /// The same, and waits up to `patience` for a schema that is on its way.
    async fn read_within(
        &self,
        topic: &str,
        value: &[u8],
        patience: Duration,
    ) -> Option<Result<Bytes, Unread>>;
}

/// Why a value was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Its schema was asked for: the same again in a moment.
    #[error("its schema is on its way")]
    OnItsWay,
    /// Whoever has its schema does not answer as he should: the same again later.
    #[error("{0}")]
    Away(String),
    /// It never will be.
    #[error("{0}")]
    Fault(String),
}

/// No topic has a codec.
#[derive(Clone, Copy, Debug)]
pub struct NoCodecs;

#[async_trait]
impl ValueReader for NoCodecs {
    fn read(&self, _: &str, _: &[u8]) -> Option<Result<Bytes, Unread>> {
        None
    }

    async fn read_within(&self, _: &str, _: &[u8], _: Duration) -> Option<Result<Bytes, Unread>> {
        None
    }
}
