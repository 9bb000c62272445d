//! The connections, and how they are set up.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::{StoreError, connections::Connections, guest_pool::GuestPool};

/// How to reach Postgres. The urls are not printed: there are passwords in them.
#[derive(Clone)]
pub struct StoreOptions {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Whether a pooler in transaction mode, as PgBouncer, answers there.
    pub pgbouncer: bool,
    /// The same database past the pooler, for migrations and guests' SQL.
    pub direct_url: Option<String>,
    /// Connections for the host's own work.
    pub max_connections: u32,
    /// Connections for guests' SQL, all plugins together.
    pub max_guest_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
}

impl StoreOptions {
    /// Defaults for everything but the place.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pgbouncer: false,
            direct_url: None,
            max_connections: 16,
            max_guest_connections: 16,
            acquire_timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("pgbouncer", &self.pgbouncer)
            .field("max_connections", &self.max_connections)
            .field("max_guest_connections", &self.max_guest_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish_non_exhaustive()
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) pool: Connections,
    /// Past a pooler; absent where there is no such way.
    pub(crate) direct: Option<PgConnectOptions>,
    pub(crate) guests: Arc<GuestPool>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Store {
    /// A store whose connections are made when they are needed: also while Postgres is away.
    pub fn new(options: StoreOptions) -> Result<Self, StoreError> {
        let place = |url: &str| Ok(PgConnectOptions::from_str(url)?.application_name("wasaga"));
        let connect: PgConnectOptions = place(&options.url).map_err(StoreError::Other)?;
        let direct = match &options.direct_url {
            Some(url) => Some(place(url).map_err(StoreError::Other)?),
            None if options.pgbouncer => None,
            None => Some(connect.clone()),
        };
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .connect_lazy_with(if options.pgbouncer {
                connect.statement_cache_capacity(0)
            } else {
                connect
            });
        let pool = Connections::new(pool, options.pgbouncer);
        let guests = Arc::new(GuestPool::new(direct.as_ref(), options.max_guest_connections));
        Ok(Self { pool, direct, guests })
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes the connections, waiting for those in use.
    pub async fn close(&self) {
        self.guests.close();
        self.pool.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_not_printed() {
        let direct_url = Some("postgres://me:hunter2@direct/x?password=hunter2".to_owned());
        let options =
            StoreOptions { direct_url, ..StoreOptions::new("postgres://me:hunter2@db:5433/x") };
        let store = Store::new(options.clone()).expect("the urls are well formed");
        let printed = format!("{options:?} {store:?}");
        assert!(!printed.contains("hunter2") && printed.contains("db:5433"), "{printed}");
    }
}
