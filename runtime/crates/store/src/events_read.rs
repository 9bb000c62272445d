//! `wasaga.events` for whoever looks from outside: a stream, page by page.

use sqlx::FromRow;
use uuid::Uuid;
use wasaga_domain::{clock::UnixMillis, ids::SagaId, payload::Payload};

use crate::{Store, StoreError};

/// An event of a plugin's stream.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Its place in its stream, from 1.
    pub version: i64,
    /// What happened.
    pub event_type: String,
    /// What it holds.
    pub payload: Payload,
    /// The saga whose step appended it.
    pub saga: Option<SagaId>,
    /// When.
    pub created_at: UnixMillis,
}

#[derive(FromRow)]
struct Row {
    version: i64,
    event_type: String,
    content_type: String,
    payload: Vec<u8>,
    saga_id: Option<Uuid>,
    created_ms: i64,
}

impl Store {
    /// Up to `limit` events of a stream past this version, in order; empty also where there is no such stream.
    pub async fn events_page(
        &self,
        plugin: &str,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "select version, event_type, content_type, payload, saga_id, wasaga.millis(created_at) as created_ms
             from wasaga.events where plugin = $1 and stream_id = $2 and version > $3
             order by version limit $4",
        )
        .bind(plugin)
        .bind(stream)
        .bind(after)
        .bind(limit as i64)
        .fetch_all(&self.pool)
        .await?;
        let event = |row: Row| EventRow {
            version: row.version,
            event_type: row.event_type,
            payload: Payload::new(row.content_type, row.payload),
            saga: row.saga_id.map(SagaId),
            created_at: UnixMillis(row.created_ms),
        };
        Ok(rows.into_iter().map(event).collect())
    }
}
