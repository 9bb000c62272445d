//! The import `sql`: a guest's statements, in the transaction that commits what it returns.

use tokio::time::timeout_at;
use wasaga_domain::sql::{SqlColumn, SqlError, SqlRows, SqlValue};

use crate::{
    access::Access,
    bindings::wasaga::plugin::sql::{Column, Error, Host, Rows, Value},
    session::Session,
    state::CallState,
};

/// What a plugin is told that is not granted `sql`.
pub(crate) fn denial(access: &Access) -> Error {
    Error { code: "42501".into(), message: access.denial("sql", "sql = true", "sql") }
}

impl Host for CallState {
    async fn query(
        &mut self,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        self.called()?;
        Ok(self.rows(&statement, parameters).await)
    }

    async fn execute(
        &mut self,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        self.called()?;
        Ok(self.touched(&statement, parameters).await)
    }
}

impl CallState {
    fn sql(&mut self) -> Result<(&mut Session, &Access), Error> {
        match &mut self.session {
            Some(session) if self.access.sql => Ok((session, &self.access)),
            _ => Err(denial(&self.access)),
        }
    }

    async fn rows(&mut self, statement: &str, parameters: Vec<Value>) -> Result<Rows, Error> {
        let (session, access) = self.sql()?;
        let parameters: Vec<_> = parameters.into_iter().map(SqlValue::from).collect();
        let until = session.until;
        let transaction = session.open(access).await?;
        let ended = timeout_at(until, transaction.query(statement, &parameters)).await;
        Ok(session.in_time(ended)?.into())
    }

    async fn touched(&mut self, statement: &str, parameters: Vec<Value>) -> Result<u64, Error> {
        let (session, access) = self.sql()?;
        let parameters: Vec<_> = parameters.into_iter().map(SqlValue::from).collect();
        let until = session.until;
        let transaction = session.open(access).await?;
        let ended = timeout_at(until, transaction.execute(statement, &parameters)).await;
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
