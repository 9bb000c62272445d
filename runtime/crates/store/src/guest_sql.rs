//! Guests' SQL: transactions under the plugin's own login role, which end by a deadline and which the host commits
//! together with what the attempt returned.
//!
//! A statement that fails ends the transaction, as Postgres has it: what the guest does after that fails, and so
//! does the commit. A guest that got around `guest_filter` and left the transaction is found out by its id.

use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Either, Executor, PgConnection, Row, SqlSafeStr, Statement,
    error::DatabaseError, postgres::PgArguments, Arguments,
};
use tokio::{runtime::Handle, time::timeout};
use wasaga_domain::{
    clock::{Clock, SystemClock, UnixMillis},
    ids::PluginName,
    ports::{GuestDatabase, GuestTransaction, ModuleError},
    sql::{SqlError, SqlRows, SqlValue},
};

use crate::{
    Store, StoreError, guest_filter,
    guest_pool::{Lease, Shape},
    guest_roles::GuestRole,
    guest_values::{bind, column_of, row_of},
};

/// Bounds of one result.
const MAX_ROWS: usize = 10_000;
const MAX_BYTES: usize = 8 << 20;
/// What the server's own timeout gets before the host ends the backend.
const GRACE: Duration = Duration::from_millis(200);
/// How long the host's part of the transaction may take.
const COMMIT: Duration = Duration::from_secs(30);
/// How long after the deadline a transaction may wait for its commit before Postgres ends it.
const COMMIT_WAIT: Duration = Duration::from_mins(1);

/// A guest's open transaction. Dropping it rolls it back.
pub struct GuestSqlTransaction {
    store: Store,
    plugin: PluginName,
    deadline: UnixMillis,
    runtime: Handle,
    /// Its id, which the guest can't keep over a commit or rollback of its own.
    id: String,
    /// Absent when the connection is lost.
    lease: Option<Lease>,
    /// A statement is under way, or was broken off.
    busy: bool,
    /// The statement that failed, and ended the transaction.
    failed: Option<SqlError>,
}

#[async_trait]
impl GuestDatabase for Store {
    async fn begin(
        &self,
        plugin: &PluginName,
        deadline: UnixMillis,
    ) -> Result<Box<dyn GuestTransaction>, SqlError> {
        let remaining = deadline.since(SystemClock.now());
        match timeout(remaining, self.guest_begin(plugin, deadline)).await {
            Ok(begun) => Ok(Box::new(begun.map_err(sql_error)?)),
            Err(_) => Err(SqlError::new(
                "57014",
                "no connection for the plugin's SQL came free by the deadline: raise max_guest_connections",
            )),
        }
    }
}

impl Store {
    async fn guest_begin(
        &self,
        plugin: &PluginName,
        deadline: UnixMillis,
    ) -> Result<GuestSqlTransaction, sqlx::Error> {
        let (mut lease, id) = self.guest_open(plugin, deadline).await?;
        lease.reused = true;
        Ok(GuestSqlTransaction {
            store: self.clone(),
            plugin: plugin.clone(),
            deadline,
            runtime: Handle::current(),
            id,
            lease: Some(lease),
            busy: false,
            failed: None,
        })
    }

    /// A connection with an open transaction, and its id.
    async fn guest_open(
        &self,
        plugin: &PluginName,
        deadline: UnixMillis,
    ) -> Result<(Lease, String), sqlx::Error> {
        let mut role = self.guest_role(plugin).await?;
        let mut mended = false;
        loop {
            let mut lease = match self.guests.lease(&role).await {
                Ok(lease) => lease,
                // The role is gone, or has another password: the database was restored, or the guest changed it.
                Err(error) if !mended && is_refused(&error) => {
                    mended = true;
                    role = self.guest_role_mend(plugin).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let remaining = deadline.since(SystemClock.now());
            let begin = format!(
                "begin isolation level read committed read write;
                 set local statement_timeout = {};
                 set local idle_in_transaction_session_timeout = {};
                 select pg_catalog.pg_current_xact_id()::pg_catalog.text",
                millis(remaining),
                millis(remaining + COMMIT_WAIT),
            );
            match first_text(&mut lease.connection, begin).await {
                Ok(Some(id)) => return Ok((lease, id)),
                Ok(None) => return Err(sqlx::Error::RowNotFound),
                Err(error) if !lease.reused => return Err(error),
                // Postgres closed it meanwhile.
                Err(_) => {}
            }
        }
    }

    pub(crate) async fn guest_role(&self, plugin: &PluginName) -> Result<Arc<GuestRole>, sqlx::Error> {
        if let Some(role) = self.guests.role(plugin) {
            return Ok(role);
        }
        let role = self.guest_role_get(plugin).await.map_err(sqlx::Error::decode)?.ok_or_else(|| {
            let what = format!("plugin {plugin} has no database role: no module of it was activated with sql");
            sqlx::Error::Configuration(what.into())
        })?;
        Ok(self.guests.set_role(plugin, role))
    }

    async fn guest_role_mend(&self, plugin: &PluginName) -> Result<Arc<GuestRole>, sqlx::Error> {
        let role = self.guest_role_ensure(plugin).await.map_err(|error| match error {
            ModuleError::Rejected(what) => sqlx::Error::Configuration(what.into()),
            ModuleError::Unavailable(what) => sqlx::Error::Protocol(what),
        })?;
        Ok(self.guests.set_role(plugin, role))
    }
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

    async fn execute(
        &mut self,
        statement: &str,
        parameters: &[SqlValue],
    ) -> Result<u64, SqlError> {
        Ok(self.run(statement, parameters, false).await?.1)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// How a statement failed.
enum Fault {
    /// It was not sent: the transaction is as it was.
    Unsent(SqlError),
    /// Postgres refused it.
    Postgres(sqlx::Error),
    /// The host broke off its result.
    Broken(SqlError),
}

impl GuestSqlTransaction {
    /// The transaction behind the port, which this store opened.
    pub(crate) fn from_port(transaction: Box<dyn GuestTransaction>) -> Result<Self, StoreError> {
        transaction.into_any().downcast().map(|own| *own).map_err(|_| {
            StoreError::Other(sqlx::Error::Configuration("the transaction is another store's".into()))
        })
    }

    /// Runs a statement; the rows are kept where `wants_rows`.
    async fn run(
        &mut self,
        statement: &str,
        parameters: &[SqlValue],
        wants_rows: bool,
    ) -> Result<(SqlRows, u64), SqlError> {
        if let Some(first) = &self.failed {
            let message = format!("the transaction ended with a statement that failed ({first})");
            return Err(SqlError::new("25P02", message));
        }
        if let Some(refusal) = guest_filter::refusal(statement) {
            return Err(refusal);
        }
        let remaining = self.deadline.since(SystemClock.now());
        let late = || SqlError::new("57014", "the attempt's deadline has passed");
        if remaining.is_zero() {
            return Err(late());
        }
        self.busy = true;
        let done = timeout(remaining + GRACE, self.perform(statement, parameters, wants_rows)).await;
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
                self.busy = error.as_database_error().is_none();
                self.store.guests.forget_shape(&self.plugin, statement);
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

    async fn perform(
        &mut self,
        statement: &str,
        parameters: &[SqlValue],
        wants_rows: bool,
    ) -> Result<(SqlRows, u64), Fault> {
        let gone = || Fault::Broken(SqlError::new("08003", "the connection is lost"));
        let connection = &mut self.lease.as_mut().ok_or_else(gone)?.connection;
        let mut rows = SqlRows::default();
        let mut arguments = PgArguments::default();
        if wants_rows || !parameters.is_empty() {
            let shape = match self.store.guests.shape(&self.plugin, statement) {
                Some(shape) => shape,
                None => {
                    let shape = shape(connection, statement).await.map_err(Fault::Postgres)?;
                    self.store.guests.set_shape(&self.plugin, statement, &shape);
                    shape
                }
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
                    let (values, bytes) = row_of(&row).map_err(Fault::Broken)?;
                    size += bytes;
                    if rows.rows.is_empty() {
                        rows.columns = row.columns().iter().map(column_of).collect();
                    }
                    rows.rows.push(values);
                    if rows.rows.len() > MAX_ROWS || size > MAX_BYTES {
                        let message = format!(
                            "the result has more than {MAX_ROWS} rows or {MAX_BYTES} bytes: add a limit"
                        );
                        return Err(Fault::Broken(SqlError::new("54000", message)));
                    }
                }
                Either::Right(_) => {}
            }
        }
        Ok((rows, touched))
    }

    /// The connection, ready for the host's own part: nothing of the guest's runs on it any more but its deferred
    /// triggers. Fails, and the attempt with it, where a statement failed or the guest left the transaction.
    pub(crate) async fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        let refused = |what: String| StoreError::Data(sqlx::Error::Protocol(what));
        if let Some(first) = &self.failed {
            return Err(refused(format!("the guest went on after its statement failed: {first}")));
        }
        let terms = self.store.commit_terms().await?;
        let seal = format!(
            "select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text;
             set local synchronous_commit = {};
             set local statement_timeout = {}",
            terms.synchronous_commit,
            millis(COMMIT),
        );
        let Some(lease) = &mut self.lease else { return Err(refused("the connection is lost".into())) };
        self.busy = true;
        let id = first_text(&mut lease.connection, seal).await?;
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
            // A deferred constraint of the guest's may fail here: Postgres has rolled back.
            Ok(Err(error)) => {
                self.busy = error.as_database_error().is_none();
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

/// Asks Postgres for the types of a statement's parameters and columns.
async fn shape(connection: &mut PgConnection, statement: &str) -> Result<Arc<Shape>, sqlx::Error> {
    let prepared =
        connection.prepare(AssertSqlSafe(statement.to_owned()).into_sql_str()).await?;
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

/// Runs statements of the host's own on a guest's connection; the first row's text.
pub(crate) async fn first_text(
    connection: &mut PgConnection,
    statements: String,
) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_optional(connection).await?;
    row.map(|row| row.try_get_unchecked(0)).transpose().map(Option::flatten)
}

/// Whether the server let the role not in: class 28, or 42501 where it may not connect.
fn is_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code.starts_with("28") || code == "42501")
}

fn sql_error(error: sqlx::Error) -> SqlError {
    let code = error.as_database_error().and_then(DatabaseError::code);
    match (code, &error) {
        (Some(code), sqlx::Error::Database(database)) => SqlError::new(&code, database.message()),
        (_, sqlx::Error::Configuration(what)) => SqlError::new("42501", what.to_string()),
        _ => SqlError::new("08006", format!("the connection to Postgres failed: {error}")),
    }
}

/// For a setting: at least 1, since 0 would mean no limit.
fn millis(duration: Duration) -> u128 {
    duration.as_millis().clamp(1, 1 << 30)
}
