//! One statement of a guest's: its types, its parameters, its rows.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::{
    Arguments, AssertSqlSafe, Either, Executor, PgConnection, Row, SqlSafeStr, Statement,
    postgres::PgArguments,
};
use wasaga_domain::{
    ids::PluginName,
    sql::{SqlError, SqlRows, SqlValue},
};

use crate::{
    guest_pool::{GuestPool, Shape},
    guest_values::{bind, column_of, memory_of, values_of},
};

/// Bounds of one result; the bytes are those of its values in memory.
const MAX_ROWS: usize = 10_000;
pub(crate) const MAX_BYTES: usize = 8 << 20;

/// How a statement failed.
pub(crate) enum Fault {
    /// It was not sent: the transaction is as it was.
    Unsent(SqlError),
    /// Postgres refused it.
    Postgres(sqlx::Error),
    /// The host broke off its result.
    Broken(SqlError),
}

/// Runs a statement: its rows, which are kept where `wants_rows`, and how many it touched.
pub(crate) async fn perform(
    guests: &GuestPool,
    plugin: &PluginName,
    connection: &mut PgConnection,
    statement: &str,
    parameters: &[SqlValue],
    wants_rows: bool,
) -> Result<(SqlRows, u64), Fault> {
    let mut rows = SqlRows::default();
    let mut arguments = PgArguments::default();
    if wants_rows || !parameters.is_empty() {
        let shape = if let Some(shape) = guests.shape(plugin, statement) {
            shape
        } else {
            let shape = shape(connection, statement).await.map_err(Fault::Postgres)?;
            guests.set_shape(plugin, statement, &shape);
            shape
        };
        arguments = bind_all(parameters, &shape).map_err(Fault::Unsent)?;
        rows.columns.clone_from(&shape.columns);
    }
    let sql = AssertSqlSafe(statement.to_owned());
    let mut results = connection.fetch_many(sqlx::query_with(sql, arguments).persistent(false));
    let (mut touched, mut size) = (0, 0);
    while let Some(result) = results.try_next().await.map_err(Fault::Postgres)? {
        match result {
            Either::Left(done) => touched += done.rows_affected(),
            Either::Right(row) if wants_rows => {
                if rows.rows.is_empty() {
                    rows.columns = row.columns().iter().map(column_of).collect();
                }
                if rows.rows.len() == MAX_ROWS {
                    return Err(Fault::Broken(too_large()));
                }
                let mut values = Vec::with_capacity(row.len());
                for value in values_of(&row) {
                    let value = value.map_err(Fault::Broken)?;
                    size += memory_of(&value);
                    if size > MAX_BYTES {
                        return Err(Fault::Broken(too_large()));
                    }
                    values.push(value);
                }
                rows.rows.push(values);
            }
            Either::Right(_) => {}
        }
    }
    Ok((rows, touched))
}

fn too_large() -> SqlError {
    let message =
        format!("the result has more than {MAX_ROWS} rows or {MAX_BYTES} bytes: add a limit");
    SqlError::new("54000", message)
}

/// Asks Postgres for the types of a statement's parameters and columns.
async fn shape(connection: &mut PgConnection, statement: &str) -> Result<Arc<Shape>, sqlx::Error> {
    let prepared = connection.prepare(AssertSqlSafe(statement.to_owned()).into_sql_str()).await?;
    let parameters = match prepared.parameters() {
        Some(Either::Left(types)) => types.to_vec(),
        _ => Vec::new(),
    };
    let columns = prepared.columns().iter().map(column_of).collect();
    Ok(Arc::new(Shape { parameters, columns }))
}

fn bind_all(values: &[SqlValue], shape: &Shape) -> Result<PgArguments, SqlError> {
    let (given, wanted) = (values.len(), shape.parameters.len());
    if given != wanted {
        let message = format!("the statement has {wanted} parameters, but {given} are given");
        return Err(SqlError::new("08P01", message));
    }
    let mut arguments = PgArguments::default();
    for (place, (value, info)) in values.iter().zip(&shape.parameters).enumerate() {
        let bound = bind(place + 1, value, info)?;
        arguments.add(bound).map_err(|error| SqlError::new("54000", error.to_string()))?;
    }
    Ok(arguments)
}
