//! `[retention]`: how long ended sagas are kept.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use wasaga_domain::clock::parse_duration;
use wasaga_engine::retention::RetentionOptions;
use wasaga_store::retention::Retirement;

use super::at_least;

/// The shortest time for which keys are known: longer than any host's lease.
const SHORTEST_TOMBSTONES: Duration = Duration::from_mins(1);

/// How long ended sagas are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// From their end on; absent: for ever.
    #[serde(deserialize_with = "some_length")]
    pub keep: Option<Duration>,
    /// Whether they go to the archive then; else they are dropped.
    pub archive: bool,
    /// How long the archive keeps them, in whole months; absent: for ever.
    #[serde(deserialize_with = "some_length")]
    pub archive_keep: Option<Duration>,
    /// How long a second start under the key of a saga that is gone is answered with the first.
    #[serde(deserialize_with = "length")]
    pub tombstones: Duration,
    /// Sagas that are removed in one transaction.
    pub batch: u32,
    /// How often to look whether one is old enough.
    pub poll_ms: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: None,
            archive: true,
            archive_keep: None,
            tombstones: Duration::from_hours(30 * 24),
            batch: 200,
            poll_ms: 60_000,
        }
    }
}

impl Retention {
    /// What the retention is started with; nothing where sagas are kept for ever.
    pub fn options(&self) -> Option<RetentionOptions> {
        let retirement = Retirement {
            keep: self.keep?,
            archive: self.archive,
            batch: self.batch,
            tombstones: self.tombstones,
            every: Duration::from_millis(self.poll_ms),
        };
        Some(RetentionOptions { retirement, archive_keep: self.archive_keep })
    }

    pub(super) fn fault(&self) -> Option<String> {
        if self.tombstones < SHORTEST_TOMBSTONES {
            return Some("retention.tombstones: must be at least 1m".into());
        }
        if !self.archive && self.archive_keep.is_some() {
            return Some("retention.archive_keep: there is no archive: remove it, or set retention.archive = true".into());
        }
        at_least("retention.batch", self.batch, 1)
            .or_else(|| {
                (self.batch > 10_000).then(|| "retention.batch: must be at most 10000".into())
            })
            .or_else(|| at_least("retention.poll_ms", self.poll_ms, 10))
    }
}

fn length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(D::Error::custom)
}

fn some_length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    length(deserializer).map(Some)
}
