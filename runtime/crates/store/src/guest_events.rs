//! `wasaga.events` and `wasaga.snapshots`, as a guest reaches them: through the functions of migration 7, on its own
//! connection and in its transaction.

use async_trait::async_trait;
use sqlx::{
    FromRow, Postgres,
    postgres::{PgArguments, PgRow},
    query::QueryAs,
};
use tokio::time::timeout;
use wasaga_domain::{
    events::{Event, EventError, Snapshot, StoredEvent, Stream},
    ids::SagaId,
    payload::Payload,
    ports::GuestEvents,
    sql::SqlError,
};

use crate::{guest_sql::GuestSqlTransaction, guest_statement::Fault};

type Query<'q, T> = QueryAs<'q, Postgres, T, PgArguments>;

/// Of a stream: its snapshot where there is no event type.
#[derive(FromRow)]
struct Row {
    version: i64,
    event_type: Option<String>,
    content_type: String,
    data: Vec<u8>,
}

#[derive(FromRow)]
struct Append {
    appended: bool,
    version: i64,
    refused: Option<String>,
}

#[async_trait]
impl GuestEvents for GuestSqlTransaction {
    async fn load(&mut self, stream: &str) -> Result<Stream, EventError> {
        storable("a stream's id", stream)?;
        let query = sqlx::query_as(
            "select version, event_type, content_type, data from wasaga_guest.events_load($1)",
        );
        let rows: Vec<Row> = self.rows(query.bind(stream)).await?;
        let mut stream = Stream::default();
        for Row { version, event_type, content_type, data } in rows {
            let (version, payload) = (version.cast_unsigned(), Payload::new(content_type, data));
            match event_type {
                None => stream.snapshot = Some(Snapshot { version, state: payload }),
                Some(event_type) => {
                    stream
                        .events
                        .push(StoredEvent { version, event: Event { event_type, payload } });
                }
            }
        }
        Ok(stream)
    }

    async fn append(
        &mut self,
        stream: &str,
        expected: u64,
        events: &[Event],
        saga: Option<SagaId>,
    ) -> Result<u64, EventError> {
        storable("a stream's id", stream)?;
        for event in events {
            storable("an event's type", &event.event_type)?;
            storable("a content type", &event.payload.content_type)?;
        }
        let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
        let contents: Vec<_> = events.iter().map(|event| &*event.payload.content_type).collect();
        let payloads: Vec<_> = events.iter().map(|event| &event.payload.data[..]).collect();
        let query = sqlx::query_as(
            "select appended, version, refused from wasaga_guest.events_append($1, $2, $3, $4, $5, $6)",
        );
        let query = query.bind(stream).bind(number(expected)).bind(types).bind(contents);
        let Append { appended, version, refused } =
            self.row(query.bind(payloads).bind(saga.map(|saga| saga.0))).await?;
        match refused {
            Some(rule) => Err(EventError::Other(rule)),
            None if appended => Ok(version.cast_unsigned()),
            None => Err(EventError::Conflict(version.cast_unsigned())),
        }
    }

    async fn save_snapshot(&mut self, stream: &str, snapshot: &Snapshot) -> Result<(), EventError> {
        storable("a stream's id", stream)?;
        storable("a content type", &snapshot.state.content_type)?;
        let query = sqlx::query_as("select wasaga_guest.snapshot_save($1, $2, $3, $4)");
        let query = query.bind(stream).bind(number(snapshot.version));
        let query = query.bind(&*snapshot.state.content_type).bind(&snapshot.state.data[..]);
        let (refused,): (Option<String>,) = self.row(query).await?;
        refused.map_or(Ok(()), |rule| Err(EventError::Other(rule)))
    }
}

impl GuestSqlTransaction {
    async fn rows<T>(&mut self, query: Query<'_, T>) -> Result<Vec<T>, SqlError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let (time, connection) = self.begin_statement()?;
        let done = timeout(time, query.fetch_all(connection)).await;
        self.end_statement(done.map(|done| done.map_err(Fault::Postgres)))
    }

    async fn row<T>(&mut self, query: Query<'_, T>) -> Result<T, SqlError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let (time, connection) = self.begin_statement()?;
        let done = timeout(time, query.fetch_one(connection)).await;
        self.end_statement(done.map(|done| done.map_err(Fault::Postgres)))
    }
}

/// Postgres keeps no NUL in a text, and a statement with one would end the transaction.
fn storable(what: &str, text: &str) -> Result<(), EventError> {
    if text.contains('\0') {
        return Err(EventError::Other(format!("{what} has no NUL")));
    }
    Ok(())
}

/// No stream comes to more than Postgres can count.
fn number(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
