//! A database that is made to be thrown away, with the login roles of the plugins in it.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;
use wasaga_domain::ids::PluginName;

use crate::{Store, StoreError, StoreOptions, guest_roles::database_hash};

/// A migrated database of its own.
pub struct Scratch {
    /// The store on it.
    pub store: Store,
    server: String,
    name: String,
}

impl Scratch {
    /// Makes one on the server of this url, whose role may create databases; the url's own database is left alone.
    pub async fn new(server: &str) -> Result<Self, StoreError> {
        let name = format!("wasaga_scratch_{}", Uuid::new_v4().simple());
        let url = create(server, &name).await?;
        let scratch =
            Self { store: Store::new(StoreOptions::new(url))?, server: server.to_owned(), name };
        let migrated = scratch.store.migrate_up().await;
        migrated.map_err(|error| StoreError::Data(sqlx::Error::Migrate(Box::new(error))))?;
        Ok(scratch)
    }

    /// Empties the tables in a plugin's schema, and all event streams.
    pub async fn clear(&self, plugin: &PluginName) -> Result<(), StoreError> {
        let tables = self.tables(plugin).await?;
        let names: Vec<_> = tables.iter().map(|(_, table)| table.as_str()).collect();
        let all = [&names[..], &["wasaga.events", "wasaga.snapshots"]].concat().join(", ");
        let truncate = format!("truncate {all} restart identity cascade");
        sqlx::raw_sql(AssertSqlSafe(truncate)).execute(&self.store.pool).await?;
        Ok(())
    }

    /// How many rows each table in a plugin's schema has, by the table's name, and `events` of all streams.
    pub async fn counts(&self, plugin: &PluginName) -> Result<Vec<(String, i64)>, StoreError> {
        let mut tables = self.tables(plugin).await?;
        tables.push(("events".into(), "wasaga.events".into()));
        let mut counts = Vec::with_capacity(tables.len());
        for (name, table) in tables {
            let count = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}")));
            counts.push((name, count.fetch_one(&self.store.pool).await?));
        }
        Ok(counts)
    }

    /// The plugin's tables: the name of each, and as SQL has it.
    async fn tables(&self, plugin: &PluginName) -> Result<Vec<(String, String)>, StoreError> {
        let tables = sqlx::query_as(
            "select c.relname::text, format('%I.%I', r.schema, c.relname)
             from wasaga.plugin_roles r
             join pg_namespace n on n.nspname = r.schema
             join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p') and not c.relispartition
             where r.plugin = $1 order by 1",
        );
        Ok(tables.bind(plugin.as_str()).fetch_all(&self.store.pool).await?)
    }

    /// Takes it away. What can't be is left, and logged.
    pub async fn drop(self) {
        self.store.close().await;
        if let Err(error) = remove(&self.server, &self.name).await {
            tracing::warn!(%error, database = self.name, "a scratch database is left on the server");
        }
    }
}

/// Makes an empty database; answers with its url.
pub(crate) async fn create(server: &str, name: &str) -> Result<String, StoreError> {
    let mut connection = PgConnection::connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await?;
    let (place, options) = server.split_once('?').unwrap_or((server, ""));
    let place = place.rsplit_once('/').map_or(place, |(place, _)| place);
    let options = if options.is_empty() { String::new() } else { format!("?{options}") };
    Ok(format!("{place}/{name}{options}"))
}

/// Drops a database, whoever is connected, and the login roles of its plugins: they belong to the server.
pub(crate) async fn remove(server: &str, name: &str) -> Result<(), StoreError> {
    let mut connection = PgConnection::connect(server).await?;
    let drop = format!("drop database if exists {name} with (force)");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await?;
    let roles = format!(
        "do $$ declare role text; begin
             for role in select rolname from pg_roles where rolname like 'wasaga_plugin_%_{}'
             loop execute format('drop role %I', role); end loop;
         end $$",
        database_hash(name)
    );
    sqlx::raw_sql(AssertSqlSafe(roles)).execute(&mut connection).await?;
    Ok(())
}
