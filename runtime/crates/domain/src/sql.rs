//! A guest's SQL, without a database driver.

/// A value that goes in or comes out; the shapes are those of the WIT interface `sql`.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// boolean
    Boolean(bool),
    /// smallint, integer, bigint
    Int64(i64),
    /// real, double precision
    Float64(f64),
    /// text, varchar, char, name, enums
    Text(String),
    /// bytea
    Bytes(Vec<u8>),
    /// numeric, in decimal digits
    Numeric(String),
    /// uuid, hyphenated
    Uuid(String),
    /// json, jsonb
    Json(String),
    /// timestamptz, RFC 3339 in UTC
    Timestamp(String),
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its type's name in Postgres, as `int8`.
    pub type_name: String,
}

/// What a query returned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SqlRows {
    /// One a column, also where there is no row.
    pub columns: Vec<SqlColumn>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<SqlValue>>,
}

/// An error for the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SqlError {
    /// SQLSTATE, five characters.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl SqlError {
    /// An error of the host's own making; `code` is an SQLSTATE.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}
