//! Connections for guests' SQL: bounded in all, kept a while per role, and clean when they are used again.
//!
//! A guest can prepare, set, lock and hide things in its session. So a connection is cleaned by `discard all`
//! after each transaction, and no statement on it is ever cached by name: a guest could replace the statement with
//! which the host commits by one of its own, and read the token from its parameters.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    Connection, PgConnection,
    postgres::{PgConnectOptions, PgTypeInfo},
};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use wasaga_domain::{ids::PluginName, sql::SqlColumn};

use crate::{Store, StoreError, guest_gate, guest_roles::GuestRole};

/// Longer unused ones are closed.
const IDLE: Duration = Duration::from_mins(5);
/// Statements whose shape is remembered; then all are forgotten.
const SHAPES: usize = 4096;
/// Bytes: longer statements hold their values, and are not seen again.
const LONGEST_REMEMBERED: usize = 4096;
/// Parameters and columns, for what is remembered of a guest's statements must not pile up.
const WIDEST_REMEMBERED: usize = 256;
/// How long cleaning a connection may take; then it is closed.
const CLEANING: Duration = Duration::from_secs(5);

/// Why guests have no connection behind a pooler.
pub(crate) const NO_WAY: &str = "database.direct_url is missing: plugins' SQL goes past the pooler, set it to Postgres's own place";

/// The connections of all plugins.
pub(crate) struct GuestPool {
    /// Absent: a pooler stands before Postgres, and no way past it is known.
    connect: Option<PgConnectOptions>,
    max: usize,
    in_use: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    roles: Mutex<HashMap<PluginName, Arc<GuestRole>>>,
    shapes: Mutex<HashMap<(PluginName, String), Arc<Shape>>>,
    pub(crate) commit: OnceCell<CommitTerms>,
}

/// With what the host commits on a guest's connection.
#[derive(Clone)]
pub(crate) struct CommitTerms {
    /// What `wasaga_guest`'s functions want to see.
    pub(crate) token: Vec<u8>,
    /// The host's own setting: a guest that turned it off must not take the commit's durability away.
    pub(crate) synchronous_commit: String,
}

/// What Postgres said about a statement.
pub(crate) struct Shape {
    pub(crate) parameters: Vec<PgTypeInfo>,
    pub(crate) columns: Vec<SqlColumn>,
}

struct Idle {
    connection: PgConnection,
    role: Arc<GuestRole>,
    pid: i32,
    since: Instant,
}

/// A connection in use.
pub(crate) struct Lease {
    pub(crate) connection: PgConnection,
    pub(crate) role: Arc<GuestRole>,
    pub(crate) pid: i32,
    /// Whether it served before: then Postgres may have gone away since.
    pub(crate) reused: bool,
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for GuestPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestPool").field("max", &self.max).finish_non_exhaustive()
    }
}

impl GuestPool {
    /// A pool of at most `max` connections, made when they are needed.
    pub(crate) fn new(connect: Option<&PgConnectOptions>, max: u32) -> Self {
        let max = (max as usize).max(1);
        let guests = |connect: &PgConnectOptions| {
            connect.clone().application_name("wasaga guest").statement_cache_capacity(0)
        };
        Self {
            connect: connect.map(guests),
            max,
            in_use: Arc::new(Semaphore::new(max)),
            idle: Mutex::default(),
            roles: Mutex::default(),
            shapes: Mutex::default(),
            commit: OnceCell::new(),
        }
    }

    /// A clean connection logged in as the role; waits while all are in use.
    pub(crate) async fn lease(&self, role: &Arc<GuestRole>) -> Result<Lease, sqlx::Error> {
        let permit =
            Arc::clone(&self.in_use).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        if let Some(Idle { connection, role, pid, .. }) = self.take_idle(role) {
            return Ok(Lease { connection, role, pid, reused: true, _permit: permit });
        }
        let mut connection = self.connect(role).await?;
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await?;
        Ok(Lease { connection, role: Arc::clone(role), pid, reused: false, _permit: permit })
    }

    /// A connection of its own, logged in as the role, which this pool does not count.
    pub(crate) async fn connect(&self, role: &GuestRole) -> Result<PgConnection, sqlx::Error> {
        let connect =
            self.connect.clone().ok_or_else(|| sqlx::Error::Configuration(NO_WAY.into()))?;
        guest_gate::connect(&connect.username(&role.name).password(&role.password)).await
    }

    /// An idle connection of the role; else makes room for a new one, so that `max` bounds all that are open.
    fn take_idle(&self, role: &Arc<GuestRole>) -> Option<Idle> {
        let mut idle = lock(&self.idle);
        idle.retain(|idle| idle.since.elapsed() < IDLE);
        if let Some(place) = idle.iter().rposition(|idle| idle.role == *role) {
            return Some(idle.remove(place));
        }
        let in_use = self.max - self.in_use.available_permits();
        if idle.len() + in_use > self.max && !idle.is_empty() {
            idle.remove(0);
        }
        None
    }

    /// Cleans a connection that is outside of any statement, and keeps it; closes it where that fails.
    pub(crate) async fn give_back(&self, mut lease: Lease, in_transaction: bool) {
        let cleaning = async {
            if in_transaction {
                sqlx::raw_sql("rollback").execute(&mut lease.connection).await?;
            }
            sqlx::raw_sql("discard all").execute(&mut lease.connection).await
        };
        if !matches!(tokio::time::timeout(CLEANING, cleaning).await, Ok(Ok(_))) {
            return;
        }
        let Lease { mut connection, role, pid, .. } = lease;
        connection.shrink_buffers();
        if !self.in_use.is_closed() {
            lock(&self.idle).push(Idle { connection, role, pid, since: Instant::now() });
        }
    }

    /// The role of a plugin, as far as this host has met it.
    pub(crate) fn role(&self, plugin: &PluginName) -> Option<Arc<GuestRole>> {
        lock(&self.roles).get(plugin).cloned()
    }

    /// Remembers a role; what was known of the plugin's statements may have changed with it.
    pub(crate) fn set_role(&self, plugin: &PluginName, role: GuestRole) -> Arc<GuestRole> {
        let role = Arc::new(role);
        lock(&self.roles).insert(plugin.clone(), Arc::clone(&role));
        lock(&self.shapes).retain(|(of, _), _| of != plugin);
        role
    }

    /// What is known of a statement.
    pub(crate) fn shape(&self, plugin: &PluginName, statement: &str) -> Option<Arc<Shape>> {
        lock(&self.shapes).get(&(plugin.clone(), statement.to_owned())).cloned()
    }

    /// Remembers what Postgres said about a statement.
    pub(crate) fn set_shape(&self, plugin: &PluginName, statement: &str, shape: &Arc<Shape>) {
        let width = shape.parameters.len() + shape.columns.len();
        if statement.len() > LONGEST_REMEMBERED || width > WIDEST_REMEMBERED {
            return;
        }
        let mut shapes = lock(&self.shapes);
        if shapes.len() >= SHAPES {
            shapes.clear();
        }
        shapes.insert((plugin.clone(), statement.to_owned()), Arc::clone(shape));
    }

    /// Forgets it: the tables may have changed.
    pub(crate) fn forget_shape(&self, plugin: &PluginName, statement: &str) {
        lock(&self.shapes).remove(&(plugin.clone(), statement.to_owned()));
    }

    /// Closes the idle connections and makes no more.
    pub(crate) fn close(&self) {
        self.in_use.close();
        lock(&self.idle).clear();
    }
}

impl Store {
    /// The token with which the host commits on a guest's connection; read once.
    pub async fn commit_token(&self) -> Result<&[u8], StoreError> {
        Ok(&self.commit_terms().await?.token)
    }

    pub(crate) async fn commit_terms(&self) -> Result<&CommitTerms, StoreError> {
        let read = async || {
            let (token, synchronous_commit) = sqlx::query_as(
                "select value, current_setting('synchronous_commit') from wasaga.secrets
                 where name = 'commit'",
            )
            .fetch_one(&self.pool)
            .await?;
            Ok(CommitTerms { token, synchronous_commit })
        };
        self.guests.commit.get_or_try_init(read).await
    }

    /// Ends a backend that a guest keeps busy past its time. The role is checked: the number may be another's by now.
    pub(crate) async fn guest_terminate(&self, pid: i32, role: &GuestRole) {
        let ended = sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and usename = $2",
        )
        .bind(pid)
        .bind(&role.name)
        .execute(&self.pool)
        .await;
        if let Err(error) = ended {
            tracing::warn!(pid, role = role.name, %error, "a guest's statement could not be ended");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_long_or_wide_statements_are_not_remembered() {
        let pool = GuestPool::new(Some(&PgConnectOptions::new_without_pgpass()), 1);
        let plugin: PluginName = "writer".parse().unwrap();
        let column = SqlColumn { name: "c".into(), type_name: "int8".into() };
        let is_remembered = |bytes: usize, columns: usize| {
            let statement = "x".repeat(bytes);
            let shape = Shape { parameters: vec![], columns: vec![column.clone(); columns] };
            pool.set_shape(&plugin, &statement, &Arc::new(shape));
            pool.shape(&plugin, &statement).is_some()
        };
        assert!(is_remembered(LONGEST_REMEMBERED, WIDEST_REMEMBERED));
        assert!(!is_remembered(LONGEST_REMEMBERED + 1, 1));
        assert!(!is_remembered(1, WIDEST_REMEMBERED + 1));
    }
}
