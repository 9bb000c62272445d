//! Guests' SQL: transactions under the plugin's own login role, which end by a deadline and which the host commits
//! together with what the attempt returned.
//!
//! A statement that fails ends the transaction, as Postgres has it: what the guest does after that fails, and so
//! does the commit. A guest that got around `guest_filter` and left the transaction is found out by its id.

use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, PgConnection, Row,
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
};
use tokio::{
    runtime::Handle,
    time::{error::Elapsed, timeout},
};
use wasaga_domain::{
    clock::{Clock, SystemClock, UnixMillis},
    ids::PluginName,
    ports::GuestTransaction,
    sql::{SqlError, SqlRows, SqlValue},
};

use crate::{
    Store, StoreError, guest_filter,
    guest_pool::Lease,
    guest_statement::{Fault, perform},
};

/// What the server's own timeout gets before the host ends the backend.
const GRACE: Duration = Duration::from_millis(200);
/// How long the host's part of the transaction may take.
const COMMIT: Duration = Duration::from_secs(30);

/// A guest's open transaction. Dropping it rolls it back.
pub struct GuestSqlTransaction {
    pub(crate) store: Store,
    pub(crate) plugin: PluginName,
    pub(crate) deadline: UnixMillis,
    pub(crate) runtime: Handle,
    /// Its id, which the guest can't keep over a commit or rollback of its own.
    pub(crate) id: String,
    /// Absent when the connection is lost.
    pub(crate) lease: Option<Lease>,
    /// A statement is under way, or was broken off.
    pub(crate) busy: bool,
    /// The statement that failed, and ended the transaction.
    pub(crate) failed: Option<SqlError>,
}

#[async_trait]
impl GuestTransaction for GuestSqlTransaction {
    async fn query(
        &mut self,
        statement: &str,
        parameters: &[SqlValue],
    ) -> Result<SqlRows, SqlError> {
        Ok(self.run(statement, parameters, true).await?.0)
    }

    async fn execute(&mut self, statement: &str, parameters: &[SqlValue]) -> Result<u64, SqlError> {
        Ok(self.run(statement, parameters, false).await?.1)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

impl GuestSqlTransaction {
    /// The transaction behind the port, which this store opened.
    pub(crate) fn from_port(transaction: Box<dyn GuestTransaction>) -> Result<Self, StoreError> {
        transaction.into_any().downcast().map(|own| *own).map_err(|_| {
            StoreError::Other(sqlx::Error::Configuration(
                "the transaction is another store's".into(),
            ))
        })
    }

    /// Runs a statement; the rows are kept where `wants_rows`.
    async fn run(
        &mut self,
        statement: &str,
        parameters: &[SqlValue],
        wants_rows: bool,
    ) -> Result<(SqlRows, u64), SqlError> {
        if let Some(refusal) = guest_filter::refusal(statement) {
            return Err(refusal);
        }
        let (guests, plugin) = (Arc::clone(&self.store.guests), self.plugin.clone());
        let (time, connection) = self.begin_statement()?;
        let run = perform(&guests, &plugin, connection, statement, parameters, wants_rows);
        let done = timeout(time, run).await;
        if let Ok(Err(Fault::Postgres(_))) = done {
            guests.forget_shape(&plugin, statement);
        }
        self.end_statement(done)
    }

    /// The connection for one more statement, and how long that may take.
    pub(crate) fn begin_statement(&mut self) -> Result<(Duration, &mut PgConnection), SqlError> {
        if let Some(first) = &self.failed {
            let message = format!("the transaction ended with a statement that failed ({first})");
            return Err(SqlError::new("25P02", message));
        }
        let remaining = self.deadline.since(SystemClock.now());
        if remaining.is_zero() {
            return Err(late());
        }
        let Some(lease) = &mut self.lease else {
            return Err(SqlError::new("08003", "the connection is lost"));
        };
        self.busy = true;
        Ok((remaining + GRACE, &mut lease.connection))
    }

    /// How it ended; the transaction ends with one that failed.
    pub(crate) fn end_statement<T>(
        &mut self,
        done: Result<Result<T, Fault>, Elapsed>,
    ) -> Result<T, SqlError> {
        let error = match done {
            Ok(Ok(done)) => {
                self.busy = false;
                return Ok(done);
            }
            Ok(Err(Fault::Unsent(error))) => {
                self.busy = false;
                return Err(error);
            }
            Ok(Err(Fault::Postgres(error))) => {
                self.busy = ends_connection(&error);
                sql_error(error)
            }
            Ok(Err(Fault::Broken(error))) => error,
            Err(_) => late(),
        };
        if self.busy {
            self.abandon();
        }
        self.failed = Some(error.clone());
        Err(error)
    }

    /// The connection, ready for the host's own part: nothing of the guest's runs on it any more. Its deferred
    /// triggers run now, while the host has locked nothing. Fails, and the attempt with it, where a statement failed,
    /// a trigger takes too long, or the guest left the transaction.
    pub(crate) async fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        let refused = |what: String| StoreError::Data(sqlx::Error::Protocol(what));
        if let Some(first) = &self.failed {
            return Err(refused(format!("the guest went on after its statement failed: {first}")));
        }
        let terms = self.store.commit_terms().await?;
        let seal = format!(
            "set constraints all immediate;
             select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text;
             set local synchronous_commit = {};
             set local statement_timeout = {}",
            terms.synchronous_commit,
            millis(COMMIT),
        );
        let Some(lease) = &mut self.lease else {
            return Err(refused("the connection is lost".into()));
        };
        self.busy = true;
        let id = timeout(COMMIT + GRACE, first_text(&mut lease.connection, seal))
            .await
            .map_err(|_| refused("the guest's deferred triggers did not end in time".into()))??;
        if id.as_ref() != Some(&self.id) {
            // What it committed can't be undone; nothing else is committed with it.
            return Err(refused("the guest left its transaction".into()));
        }
        self.busy = false;
        Ok(&mut lease.connection)
    }

    /// Commits; after a connection error it may or may not have.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let Some(lease) = &mut self.lease else {
            return Err(StoreError::Connection(sqlx::Error::WorkerCrashed));
        };
        self.busy = true;
        let commit = sqlx::raw_sql("commit").execute(&mut lease.connection);
        match timeout(COMMIT + GRACE, commit).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if ends_connection(&error) => return Err(StoreError::Connection(error)),
            // A deferred constraint of the guest's may fail here: Postgres has rolled back.
            Ok(Err(error)) => {
                self.busy = false;
                return Err(error.into());
            }
            Err(_) => {
                let what = "the guest's transaction did not commit in time".into();
                return Err(StoreError::Connection(sqlx::Error::Protocol(what)));
            }
        }
        self.busy = false;
        self.give_back(false);
        Ok(())
    }

    fn give_back(&mut self, in_transaction: bool) {
        if let Some(lease) = self.lease.take() {
            let guests = Arc::clone(&self.store.guests);
            self.runtime.spawn(async move { guests.give_back(lease, in_transaction).await });
        }
    }

    /// Closes the connection, and ends what still runs on it: closing alone does not.
    fn abandon(&mut self) {
        if let Some(lease) = self.lease.take() {
            let store = self.store.clone();
            self.runtime.spawn(async move { store.guest_terminate(lease.pid, &lease.role).await });
        }
    }
}

impl Drop for GuestSqlTransaction {
    fn drop(&mut self) {
        if self.busy {
            self.abandon();
        } else {
            self.give_back(true);
        }
    }
}

/// Runs statements of the host's own on a guest's connection; the first row's text.
pub(crate) async fn first_text(
    connection: &mut PgConnection,
    statements: String,
) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_optional(connection).await?;
    row.map(|row| row.try_get_unchecked(0)).transpose().map(Option::flatten)
}

/// Whether there is no connection any more.
fn ends_connection(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return true };
    error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

pub(crate) fn sql_error(error: sqlx::Error) -> SqlError {
    let code = error.as_database_error().and_then(DatabaseError::code);
    match (code, &error) {
        (Some(code), sqlx::Error::Database(database)) => SqlError::new(&code, database.message()),
        (_, sqlx::Error::Configuration(what)) => SqlError::new("42501", what.to_string()),
        _ => SqlError::new("08006", format!("the connection to Postgres failed: {error}")),
    }
}

fn late() -> SqlError {
    SqlError::new("57014", "the attempt's deadline has passed")
}

/// For a setting: at least 1, since 0 would mean no limit.
pub(crate) fn millis(duration: Duration) -> u128 {
    duration.as_millis().clamp(1, 1 << 30)
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_left_the_transaction_gets_no_commit() {
        let db = crate::testing::database().await;
        let plugin: PluginName = "leaver".parse().unwrap();
        db.store.guest_role_ensure(&plugin).await.unwrap();
        for leave in ["commit", "rollback", "commit and chain", "rollback; begin"] {
            let deadline = SystemClock.now().after(Duration::from_secs(10));
            let mut transaction = db.store.guest_begin(&plugin, deadline).await.unwrap();
            let connection = &mut transaction.lease.as_mut().unwrap().connection;
            sqlx::raw_sql(leave).execute(connection).await.unwrap();
            let refused = transaction.connection().await.map(|_| ());
            assert!(matches!(refused, Err(StoreError::Data(_))), "{leave}: {refused:?}");
        }
    }
}
