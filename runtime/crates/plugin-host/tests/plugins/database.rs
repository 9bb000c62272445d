//! A database that only counts what it is asked, and keeps events as long as their transaction.

use std::{
    any::Any,
    collections::HashMap,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use wasaga_domain::{
    clock::UnixMillis,
    events::{Event, EventError, Snapshot, StoredEvent, Stream},
    ids::{PluginName, SagaId},
    ports::{GuestDatabase, GuestEvents, GuestTransaction},
    sql::{SqlColumn, SqlError, SqlRows, SqlValue},
};

#[derive(Default)]
pub struct Database {
    pub begun: AtomicUsize,
    pub rolled_back: Arc<AtomicUsize>,
}

struct Transaction {
    rolled_back: Arc<AtomicUsize>,
    streams: HashMap<String, (Option<Snapshot>, Vec<Event>)>,
}

#[async_trait]
impl GuestDatabase for Database {
    async fn begin(
        &self,
        plugin: &PluginName,
        _: UnixMillis,
    ) -> Result<Box<dyn GuestTransaction>, SqlError> {
        assert!(plugin.as_str().starts_with("probe-"), "{plugin}");
        self.begun.fetch_add(1, Ordering::Relaxed);
        let rolled_back = self.rolled_back.clone();
        Ok(Box::new(Transaction { rolled_back, streams: HashMap::new() }))
    }
}

#[async_trait]
impl GuestTransaction for Transaction {
    async fn query(&mut self, _: &str, _: &[SqlValue]) -> Result<SqlRows, SqlError> {
        let columns = vec![SqlColumn { name: "n".into(), type_name: "int8".into() }];
        Ok(SqlRows { columns, rows: vec![vec![SqlValue::Int64(7)]] })
    }

    async fn execute(&mut self, statement: &str, _: &[SqlValue]) -> Result<u64, SqlError> {
        match statement {
            "sleep" => pending().await,
            "fail" => Err(SqlError::new("23505", "duplicate key")),
            _ => Ok(1),
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

#[async_trait]
impl GuestEvents for Transaction {
    async fn load(&mut self, stream: &str) -> Result<Stream, EventError> {
        if stream == "sleep" {
            pending::<()>().await;
        }
        let (snapshot, events) = self.streams.get(stream).cloned().unwrap_or_default();
        let stored = |(version, event)| StoredEvent { version, event };
        Ok(Stream { snapshot, events: (1..).zip(events).map(stored).collect() })
    }

    async fn append(
        &mut self,
        stream: &str,
        expected: u64,
        events: &[Event],
        saga: Option<SagaId>,
    ) -> Result<u64, EventError> {
        assert!(saga.is_some(), "the event's saga is known");
        let (_, stored) = self.streams.entry(stream.into()).or_default();
        if stored.len() as u64 != expected {
            return Err(EventError::Conflict(stored.len() as u64));
        }
        stored.extend_from_slice(events);
        Ok(stored.len() as u64)
    }

    async fn save_snapshot(&mut self, stream: &str, snapshot: &Snapshot) -> Result<(), EventError> {
        let kept = self.streams.get_mut(stream);
        let (kept, _) = kept.ok_or_else(|| EventError::Other("there is no such stream".into()))?;
        *kept = Some(snapshot.clone());
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
    }
}
