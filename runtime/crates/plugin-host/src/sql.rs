//! The import `sql`: a guest's statements, in the transaction that commits what it returns.
//!
//! The transaction begins with the first statement. Each statement ends by the attempt's deadline: epochs do not
//! interrupt the host. One that does not leaves its transaction in an unknown state, so it is dropped there and then,
//! and the attempt fails whatever the guest says.

use std::sync::Arc;

use tokio::time::{Instant, error::Elapsed, timeout_at};
use wasaga_domain::{
    clock::UnixMillis,
    ports::{GuestDatabase, GuestTransaction},
    sql::{SqlColumn, SqlError, SqlRows, SqlValue},
};

use crate::{
    bindings::wasaga::plugin::sql::{Column, Error, Host, Rows, Value},
    grants::Access,
    state::CallState,
};

/// A call's use of `sql`.
pub(crate) struct Session {
    database: Arc<dyn GuestDatabase>,
    deadline: UnixMillis,
    until: Instant,
    transaction: Option<Box<dyn GuestTransaction>>,
    /// A statement did not end in time.
    lost: bool,
}

impl Session {
    /// Nothing is opened yet.
    pub(crate) fn new(
        database: Arc<dyn GuestDatabase>,
        deadline: UnixMillis,
        until: std::time::Instant,
    ) -> Self {
        Self { database, deadline, until: until.into(), transaction: None, lost: false }
    }

    /// The open transaction, if there is one, or an error where it was lost.
    pub(crate) fn finish(self) -> Result<Option<Box<dyn GuestTransaction>>, SqlError> {
        if self.lost { Err(too_late()) } else { Ok(self.transaction) }
    }

    async fn open(&mut self, access: &Access) -> Result<&mut dyn GuestTransaction, SqlError> {
        if self.lost {
            return Err(SqlError::new(
                "25P02",
                "the transaction was lost with an earlier statement",
            ));
        }
        let open = if let Some(open) = self.transaction.take() {
            open
        } else {
            let plugin = access.plugin.as_ref().expect("sql is granted to plugins by name");
            let begun = timeout_at(self.until, self.database.begin(plugin, self.deadline)).await;
            self.in_time(begun)?
        };
        Ok(self.transaction.insert(open).as_mut())
    }

    /// Gives the transaction up where its statement did not end in time.
    fn in_time<T>(&mut self, ended: Result<Result<T, SqlError>, Elapsed>) -> Result<T, SqlError> {
        ended.unwrap_or_else(|_| {
            self.transaction = None;
            self.lost = true;
            Err(too_late())
        })
    }
}

fn too_late() -> SqlError {
    SqlError::new("57014", "the statement did not end by the attempt's deadline")
}

impl CallState {
    fn session(&mut self) -> (&mut Session, &Access) {
        let session =
            self.sql.as_mut().expect("the linker that offers sql is for plugins granted it");
        (session, &self.access)
    }
}

impl Host for CallState {
    async fn query(&mut self, statement: String, parameters: Vec<Value>) -> Result<Rows, Error> {
        let (session, access) = self.session();
        let parameters: Vec<_> = parameters.into_iter().map(SqlValue::from).collect();
        let until = session.until;
        let transaction = session.open(access).await?;
        let ended = timeout_at(until, transaction.query(&statement, &parameters)).await;
        Ok(session.in_time(ended)?.into())
    }

    async fn execute(&mut self, statement: String, parameters: Vec<Value>) -> Result<u64, Error> {
        let (session, access) = self.session();
        let parameters: Vec<_> = parameters.into_iter().map(SqlValue::from).collect();
        let until = session.until;
        let transaction = session.open(access).await?;
        let ended = timeout_at(until, transaction.execute(&statement, &parameters)).await;
        Ok(session.in_time(ended)?)
    }
}

impl From<SqlError> for Error {
    fn from(SqlError { code, message }: SqlError) -> Self {
        Self { code, message }
    }
}

impl From<SqlRows> for Rows {
    fn from(rows: SqlRows) -> Self {
        let column = |SqlColumn { name, type_name }| Column { name, type_name };
        let row = |row: Vec<SqlValue>| row.into_iter().map(Value::from).collect();
        Self {
            columns: rows.columns.into_iter().map(column).collect(),
            rows: rows.rows.into_iter().map(row).collect(),
        }
    }
}

/// The contract's values and the domain's are the same.
macro_rules! same_values {
    ($from:ident => $to:ident) => {
        impl From<$from> for $to {
            fn from(value: $from) -> Self {
                match value {
                    $from::Null => Self::Null,
                    $from::Boolean(value) => Self::Boolean(value),
                    $from::Int64(value) => Self::Int64(value),
                    $from::Float64(value) => Self::Float64(value),
                    $from::Text(value) => Self::Text(value),
                    $from::Bytes(value) => Self::Bytes(value),
                    $from::Numeric(value) => Self::Numeric(value),
                    $from::Uuid(value) => Self::Uuid(value),
                    $from::Json(value) => Self::Json(value),
                    $from::Timestamp(value) => Self::Timestamp(value),
                }
            }
        }
    };
}

same_values!(Value => SqlValue);
same_values!(SqlValue => Value);
