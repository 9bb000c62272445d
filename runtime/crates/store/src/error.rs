//! What can go wrong with the database, by what its caller does next.

use sqlx::error::DatabaseError;

/// A store error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The connection failed; a commit that was under way may or may not have happened.
    #[error("the connection to Postgres failed: {0}")]
    Connection(#[source] sqlx::Error),
    /// Another transaction was in the way; the same again may succeed.
    #[error("Postgres asks to try again: {0}")]
    Conflict(#[source] sqlx::Error),
    /// The values do not fit (SQLSTATE 22, 23 or 54): the same again will fail.
    #[error("Postgres refused the data: {0}")]
    Data(#[source] sqlx::Error),
    /// Anything else: a missing right or table, or a fault of this program.
    #[error("Postgres: {0}")]
    Other(#[source] sqlx::Error),
    /// A stored value that this host can't read.
    #[error("{table}.{column} of {row}: {reason}")]
    Stored {
        /// The table.
        table: &'static str,
        /// Its column.
        column: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong with the value.
        reason: String,
    },
}

impl StoreError {
    /// A stored value that can't be read.
    pub fn stored(
        table: &'static str,
        column: &'static str,
        row: impl ToString,
        reason: impl ToString,
    ) -> Self {
        Self::Stored { table, column, row: row.to_string(), reason: reason.to_string() }
    }

    /// Whether the same call may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Conflict(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code).map(String::from);
        match code.as_deref() {
            None => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed => Self::Connection(error),
                _ => Self::Other(error),
            },
            // Class 08: connection; 57P01 to 57P03: the server goes down or comes up; 53300: too many clients.
            Some(code) if code.starts_with("08") => Self::Connection(error),
            Some("57P01" | "57P02" | "57P03" | "53300" | "25P03") => Self::Connection(error),
            // Serialization failure, deadlock, lock timeout, cancelled by a timeout.
            Some("40001" | "40P01" | "55P03" | "57014") => Self::Conflict(error),
            Some(code) if matches!(&code[..2], "22" | "23" | "54") => Self::Data(error),
            Some(_) => Self::Other(error),
        }
    }
}
