//! What Postgres counts of itself, for the bench.

use crate::{Store, StoreError};

/// Counters that only grow.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// Commits of this database, as `pg_stat_database` has them.
    pub commits: i64,
    /// Bytes of write-ahead log of the whole server.
    pub wal_bytes: i64,
}

impl Store {
    /// The counters now. Sessions report theirs up to a second late.
    pub async fn statistics(&self) -> Result<Statistics, StoreError> {
        let (commits, wal_bytes) = sqlx::query_as(
            "select xact_commit, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint
             from pg_stat_database where datname = current_database()",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Statistics { commits, wal_bytes })
    }
}
