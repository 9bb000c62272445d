//! Ended sagas on their way out: to the archive, or away, and the tombstones that stay for a while.

use std::time::Duration;

use sqlx::FromRow;
use wasaga_domain::{clock::UnixMillis, ids::SagaId, state::Status};

use crate::{Store, StoreError};

/// How ended sagas are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// How long ago they must have ended.
    pub keep: Duration,
    /// Whether they go to the archive.
    pub archive: bool,
    /// How many in one transaction.
    pub batch: u32,
    /// How long their ids are known after that.
    pub tombstones: Duration,
    /// How long to rest when no more are old enough.
    pub every: Duration,
}

/// What became of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Sagas that were removed.
    pub removed: u32,
    /// How long to wait before the next call.
    pub wait: Duration,
    /// Whether this call was the last for now.
    pub is_over: bool,
}

/// What is known of a saga that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// How it ended.
    pub status: Status,
    /// When.
    pub ended_at: UnixMillis,
}

#[derive(FromRow)]
struct Row {
    removed: i32,
    wait_ms: i64,
    is_over: bool,
}

impl Store {
    /// Removes a batch of ended sagas, unless it is too early for that or another host is at it.
    pub async fn sagas_retire(&self, how: &Retirement) -> Result<Retired, StoreError> {
        let row: Row = sqlx::query_as("select * from wasaga.sagas_retire($1, $2, $3, $4, $5)")
            .bind(millis(how.keep))
            .bind(how.archive)
            .bind(how.batch.cast_signed())
            .bind(millis(how.tombstones))
            .bind(millis(how.every))
            .fetch_one(&self.pool)
            .await?;
        Ok(Retired {
            removed: row.removed.cast_unsigned(),
            wait: Duration::from_millis(row.wait_ms.cast_unsigned()),
            is_over: row.is_over,
        })
    }

    /// Drops the months of the archive whose sagas all ended longer ago than this; answers with how many.
    pub async fn archive_drop(&self, keep: Duration) -> Result<u32, StoreError> {
        let dropped: i32 = sqlx::query_scalar("select wasaga.archive_drop($1)")
            .bind(millis(keep))
            .fetch_one(&self.pool)
            .await?;
        Ok(dropped.cast_unsigned())
    }

    /// What is known of a saga that was removed; nothing where there is no such saga, or no more.
    pub async fn tombstone_get(&self, id: SagaId) -> Result<Option<Tombstone>, StoreError> {
        let row: Option<(String, i64)> = sqlx::query_as(
            "select status, wasaga.millis(ended_at) from wasaga.tombstones where id = $1 and until > now()",
        )
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await?;
        let tombstone = |(status, ended_at): (String, i64)| {
            let known = Status::parse(&status)
                .ok_or_else(|| StoreError::stored("wasaga.tombstones", "status", id, &status))?;
            Ok(Tombstone { status: known, ended_at: UnixMillis(ended_at) })
        };
        row.map(tombstone).transpose()
    }

    /// How long ago the oldest of the ended sagas was started, without those of the archive.
    pub async fn sagas_ended_oldest(&self) -> Result<Option<Duration>, StoreError> {
        let ms: Option<i64> = sqlx::query_scalar(
            "select wasaga.millis(now()) - wasaga.millis(created_at) from wasaga.sagas where ended
             order by created_at, id limit 1",
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(ms.map(|ms| Duration::from_millis(ms.max(0).cast_unsigned())))
    }
}

/// As the functions take it: no further back than a timestamp reaches.
pub(crate) fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX).min(36_525 * 86_400_000)
}
