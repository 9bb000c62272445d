//! The database of a stage, with the plugins' schemas: one of its own on the server that the caller names, or on one that runs
//! for as long as the stage is there.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use wasaga_domain::{
    clock::{Clock as _, SystemClock, UnixMillis},
    ids::PluginName,
    ports::{GuestDatabase as _, GuestTransaction, ModuleStore as _, NewModule},
    sql::SqlValue,
};
use wasaga_services::{Postgres, PostgresOptions};
use wasaga_store::{Store, scratch::Scratch};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Database {
    scratch: Scratch,
    /// Where the caller named none.
    server: Option<Postgres>,
}

impl Database {
    /// Makes one on the server of this url, or on a new one.
    pub(crate) async fn new(server: Option<&str>) -> Result<Self, String> {
        let (server, url) = if let Some(url) = server {
            (None, url.to_owned())
        } else {
            let server = start().await?;
            let url = server.url();
            (Some(server), url)
        };
        match Scratch::new(&url).await {
            Ok(scratch) => Ok(Self { scratch, server }),
            Err(error) => {
                stop(server).await;
                Err(error.to_string())
            }
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.scratch.store
    }

    /// Makes a plugin's schema and runs its migrations, as an activation does.
    pub(crate) async fn migrate(&self, module: NewModule) -> Result<(), String> {
        self.store().activate(module).await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Empties the plugin's tables and event streams.
    pub(crate) async fn clear(&self, plugin: &PluginName) -> Result<(), String> {
        self.scratch.clear(plugin).await.map_err(|error| error.to_string())
    }

    /// How many rows each of the plugin's tables has, and how many events it has stored.
    pub(crate) async fn counts(&self, plugin: &PluginName) -> Result<Vec<(String, i64)>, String> {
        self.scratch.counts(plugin).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn commit(&self, guest: Box<dyn GuestTransaction>) -> Result<(), String> {
        self.store().guest_commit(guest).await.map_err(|error| error.to_string())
    }

    /// Runs statements as the plugin itself.
    pub(crate) async fn run(
        &self,
        plugin: &PluginName,
        statements: &[String],
    ) -> Result<(), String> {
        let mut guest = self.begin(plugin).await?;
        for statement in statements {
            let ran = guest.execute(statement, &[]).await;
            ran.map_err(|error| format!("{statement}: {} ({})", error.message, error.code))?;
        }
        self.commit(guest).await
    }

    /// What a query answers, row by row, as the plugin sees it.
    pub(crate) async fn rows(
        &self,
        plugin: &PluginName,
        query: &str,
    ) -> Result<Vec<Vec<Value>>, String> {
        let mut guest = self.begin(plugin).await?;
        let rows = guest.query(query, &[]).await;
        let rows = rows.map_err(|error| format!("{query}: {} ({})", error.message, error.code))?;
        Ok(rows.rows.iter().map(|row| row.iter().map(shown).collect()).collect())
    }

    pub(crate) async fn drop(self) {
        self.scratch.drop().await;
        stop(self.server).await;
    }

    async fn begin(&self, plugin: &PluginName) -> Result<Box<dyn GuestTransaction>, String> {
        let deadline: UnixMillis = SystemClock.now().after(PATIENCE);
        let begun = self.store().begin(plugin, deadline).await;
        begun.map_err(|error| {
            format!("plugin {plugin} has no schema here ({}): does it ask for sql?", error.message)
        })
    }
}

async fn start() -> Result<Postgres, String> {
    // Nothing of it is read after a crash.
    let options = PostgresOptions { fsync: false, ..PostgresOptions::default() };
    let started = spawn_blocking(|| Postgres::start(options)).await;
    started.expect("a start does not panic").map_err(|error| {
        format!("a plugin asks for one, no server is named, and none can be started: {error:#}")
    })
}

async fn stop(server: Option<Postgres>) {
    let _ = spawn_blocking(|| drop(server)).await;
}

fn shown(value: &SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Boolean(value) => json!(value),
        SqlValue::Int64(value) => json!(value),
        SqlValue::Float64(value) => json!(value),
        SqlValue::Bytes(value) => crate::content::shown(value),
        SqlValue::Json(value) => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        SqlValue::Text(value)
        | SqlValue::Numeric(value)
        | SqlValue::Uuid(value)
        | SqlValue::Timestamp(value) => json!(value),
    }
}
