//! `[database]`: Postgres.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use wasaga_store::StoreOptions;

use super::{ConfigError, at_least, secrets};

/// Postgres.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// Where it is; there is no default.
    pub url: Option<DatabaseUrl>,
    /// Holds the url.
    pub url_file: Option<PathBuf>,
    /// Whether a pooler in transaction mode, as PgBouncer, answers there.
    pub pgbouncer: bool,
    /// The same database past the pooler.
    pub direct_url: Option<DatabaseUrl>,
    /// Holds that url.
    pub direct_url_file: Option<PathBuf>,
    /// Connections for the host's own work.
    pub max_connections: u32,
    /// Connections for guests' SQL, all plugins together.
    pub max_guest_connections: u32,
    /// How long work waits for a free connection.
    pub acquire_timeout_ms: u64,
    /// How long a starting host waits for a database that does not answer.
    pub start_timeout_ms: u64,
    /// Whether a starting host brings the schema up to date.
    pub migrate: Migrate,
}

/// Whether a starting host brings the schema up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Migrate {
    /// It does.
    Auto,
    /// It refuses to start on an older schema.
    Off,
}

/// A url whose password is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The url with its password, for whoever connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str("***") };
        // A password may also stand in the query, as `?password=`: nothing of that is printed.
        let place = rest.split(['?', '#']).next().unwrap_or_default();
        match place.rsplit_once('@') {
            Some((account, place)) => {
                let user = account.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}:***@{place}")
            }
            // A password with one of these in it, unescaped.
            None if rest.contains('@') => write!(f, "{scheme}://***"),
            None => write!(f, "{scheme}://{place}"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Default for Database {
    fn default() -> Self {
        let StoreOptions { max_connections, max_guest_connections, acquire_timeout, .. } =
            StoreOptions::new("");
        Self {
            url: None,
            url_file: None,
            pgbouncer: false,
            direct_url: None,
            direct_url_file: None,
            max_connections,
            max_guest_connections,
            acquire_timeout_ms: acquire_timeout.as_millis() as u64,
            start_timeout_ms: 30_000,
            migrate: Migrate::Auto,
        }
    }
}

impl Database {
    /// What the store is opened with.
    pub fn options(&self) -> Result<StoreOptions, ConfigError> {
        let url = exposed(self.url.as_ref(), "database.url_file", self.url_file.as_deref())?;
        let file = self.direct_url_file.as_deref();
        let direct_url = exposed(self.direct_url.as_ref(), "database.direct_url_file", file)?;
        let url = url.ok_or_else(|| {
            ConfigError::new(
                "database.url is missing: set it, or the environment variable DATABASE_URL, as \
                 postgres://user:password@host:5432/database; or database.url_file, which holds it",
            )
        })?;
        Ok(StoreOptions {
            url,
            pgbouncer: self.pgbouncer,
            direct_url,
            max_connections: self.max_connections,
            max_guest_connections: self.max_guest_connections,
            acquire_timeout: Duration::from_millis(self.acquire_timeout_ms),
        })
    }

    pub(super) fn fault(&self) -> Option<String> {
        let twice = |name: &str, url: &Option<DatabaseUrl>, file: &Option<PathBuf>| {
            let both = url.is_some() && file.is_some();
            both.then(|| {
                format!("database.{name} and database.{name}_file exclude each other: remove one")
            })
        };
        twice("url", &self.url, &self.url_file)
            .or_else(|| twice("direct_url", &self.direct_url, &self.direct_url_file))
            .or_else(|| at_least("database.max_connections", self.max_connections, 4))
            .or_else(|| at_least("database.max_guest_connections", self.max_guest_connections, 1))
            .or_else(|| at_least("database.acquire_timeout_ms", self.acquire_timeout_ms, 100))
    }
}

/// A url, or what the file holds.
fn exposed(
    url: Option<&DatabaseUrl>,
    key: &str,
    file: Option<&Path>,
) -> Result<Option<String>, ConfigError> {
    match (url, file) {
        (Some(url), _) => Ok(Some(url.expose().to_owned())),
        (None, Some(path)) => secrets::read(key, path).map(Some),
        (None, None) => Ok(None),
    }
}
