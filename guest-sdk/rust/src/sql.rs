//! SQL inside the transaction that commits this step or task: both happen, or neither.
//!
//! ```no_run
//! # use wasaga_guest::{failure::Failure, sql};
//! # fn run(product: &str) -> Result<(), Failure> {
//! let taken = sql::execute("update stock set available = available - 1 where product_id = $1", &[&product])?;
//! let left: i64 = sql::query("select available from stock where product_id = $1", &[&product])?.one()?.get("available")?;
//! # Ok(()) }
//! ```
//! Statements name the plugin's own tables without a schema. A failure of the step or task rolls all of it back.

mod rows;
mod value;

pub use crate::bindings::imports::wasaga::plugin::sql::{Column, Error, Value};
use crate::{bindings::imports::wasaga::plugin::sql, failure::Failure};
pub use rows::{Row, Rows};
pub use value::{FromSql, Json, Numeric, Timestamp, ToSql, Uuid};

/// Runs a statement that returns rows.
pub fn query(statement: &str, parameters: &[&dyn ToSql]) -> Result<Rows, Error> {
    Ok(Rows::new(sql::query(statement, &values(parameters))?))
}

/// Runs a statement and says how many rows it touched.
pub fn execute(statement: &str, parameters: &[&dyn ToSql]) -> Result<u64, Error> {
    sql::execute(statement, &values(parameters))
}

fn values(parameters: &[&dyn ToSql]) -> Vec<Value> {
    parameters.iter().map(|parameter| parameter.to_sql()).collect()
}

impl Error {
    /// `code` is an SQLSTATE.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What another attempt cannot change (bad data, a wrong or forbidden statement) is permanent: nothing has happened,
/// since the transaction is rolled back. All else (a conflict, a lost connection) is worth another attempt.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = format!("sql-{}", error.code);
        match error.code.get(..2) {
            Some("0A" | "22" | "42") => Self::permanent(code, error.message),
            _ => Self::retryable(code, error.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_statements_are_permanent_and_conflicts_are_not() {
        let failure = |code| Failure::from(Error::new(code, "x"));
        assert!(
            matches!(failure("42601"), Failure::Permanent(detail) if detail.code == "sql-42601")
        );
        assert!(matches!(failure("40001"), Failure::Retryable(_)));
        assert!(matches!(failure("23505"), Failure::Retryable(_)));
    }
}
