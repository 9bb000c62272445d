//! Opens guests' transactions.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use tokio::{runtime::Handle, time::timeout};
use wasaga_domain::{
    clock::{Clock, SystemClock, UnixMillis},
    ids::PluginName,
    ports::{GuestDatabase, GuestTransaction, ModuleError},
    sql::SqlError,
};

use crate::{
    Store,
    guest_pool::Lease,
    guest_roles::GuestRole,
    guest_sql::{GuestSqlTransaction, first_text, millis, sql_error},
};

/// How long after the deadline a transaction may wait for its commit before Postgres ends it. So long do the guests of a
/// host that is frozen hold up others by what they have locked.
const COMMIT_WAIT: Duration = Duration::from_secs(20);

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
    pub(crate) async fn guest_begin(
        &self,
        plugin: &PluginName,
        deadline: UnixMillis,
    ) -> Result<GuestSqlTransaction, sqlx::Error> {
        let (lease, id) = self.guest_open(plugin, deadline).await?;
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

    async fn guest_role(&self, plugin: &PluginName) -> Result<Arc<GuestRole>, sqlx::Error> {
        if let Some(role) = self.guests.role(plugin) {
            return Ok(role);
        }
        let role =
            self.guest_role_get(plugin).await.map_err(sqlx::Error::decode)?.ok_or_else(|| {
                let what = format!(
                    "plugin {plugin} has no database role: no module of it was activated with sql or the event store"
                );
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

/// Whether the server let the role not in: class 28, or 42501 where it may not connect.
fn is_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code.starts_with("28") || code == "42501")
}
