//! `wasaga.plugin_migrations`: the steps of plugins' own schemas.
//!
//! A migration is the plugin's SQL, so it runs as the plugin's role over a connection of the role's own: within the
//! host's session `reset role`, a deferred trigger or a held cursor would run it as the host. That makes two
//! transactions. The plugin's leaves a mark, the comment on its schema, so that a crash between the two commits
//! leaves no migration applied and unknown: the next activation reads the mark.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, error::DatabaseError};
use wasaga_domain::{
    ids::{Digest, PluginName},
    manifest::Migration,
    ports::ModuleError,
};

use crate::{Store, StoreError, guest_roles::GuestRole, guest_sql::first_text};

/// How long one migration may take, and how long it may wait for (and so hold up) others that use its tables.
const STATEMENT: Duration = Duration::from_mins(5);
const LOCK: Duration = Duration::from_secs(10);

/// What the database knows of a plugin's migrations.
struct Applied {
    checksums: Vec<Vec<u8>>,
    mark: Option<String>,
}

/// Fails where versions don't run from 1 without gaps.
pub(crate) fn check_versions(
    plugin: &PluginName,
    migrations: &[Migration],
) -> Result<(), ModuleError> {
    for (expected, migration) in (1..).zip(migrations) {
        if migration.version != expected {
            return Err(ModuleError::Rejected(format!(
                "migrations of plugin {plugin}: version {expected} must stand where {} ({}) does: \
                 they run from 1 without gaps, in order",
                migration.version, migration.name,
            )));
        }
    }
    Ok(())
}

impl Store {
    /// Applies what the plugin's schema lacks. `connection` is in the transaction of the activation, which holds the
    /// plugin's lock and keeps the record.
    pub(crate) async fn guest_migrate(
        &self,
        connection: &mut PgConnection,
        plugin: &PluginName,
        role: &GuestRole,
        migrations: &[Migration],
    ) -> Result<(), ModuleError> {
        let applied = applied(connection, plugin, role).await.map_err(unavailable)?;
        for (migration, checksum) in migrations.iter().zip(&applied.checksums) {
            if checksum[..] != self::checksum(migration).0 {
                return Err(ModuleError::Rejected(format!(
                    "migration {} ({}) of plugin {plugin} was applied with other content: \
                     leave it as it was and add a new version",
                    migration.version, migration.name,
                )));
            }
        }
        // More than this module has: it is an older one, and its successor's tables stay.
        let Some(missing) = migrations.get(applied.checksums.len()..).filter(|m| !m.is_empty())
        else {
            return Ok(());
        };
        // Ahead of the record where a crash came between the two commits.
        let done = (applied.checksums.len()..=migrations.len())
            .rev()
            .find(|done| applied.mark.as_deref() == Some(&mark(&migrations[..*done])))
            .unwrap_or(applied.checksums.len());
        if done < migrations.len() {
            let mark = mark(migrations);
            self.guest_migrations_run(plugin, role, &migrations[done..], &mark).await?;
        }
        let versions: Vec<i32> = missing.iter().map(|m| m.version.cast_signed()).collect();
        let names: Vec<&str> = missing.iter().map(|m| m.name.as_str()).collect();
        let checksums: Vec<Vec<u8>> = missing.iter().map(|m| checksum(m).0.to_vec()).collect();
        sqlx::query(
            "insert into wasaga.plugin_migrations (plugin, version, name, checksum)
             select $1, * from unnest($2::integer[], $3::text[], $4::bytea[])",
        )
        .bind(plugin.as_str())
        .bind(versions)
        .bind(names)
        .bind(checksums)
        .execute(connection)
        .await
        .map_err(|error| unavailable(error.into()))?;
        Ok(())
    }

    /// All or none of them, and the mark.
    async fn guest_migrations_run(
        &self,
        plugin: &PluginName,
        role: &GuestRole,
        migrations: &[Migration],
        mark: &str,
    ) -> Result<(), ModuleError> {
        let mut connection = self.guests.connect(role).await.map_err(|e| unavailable(e.into()))?;
        let (statement, lock) = (STATEMENT.as_millis(), LOCK.as_millis());
        let begin = format!(
            "begin; set local statement_timeout = {statement}; set local lock_timeout = {lock};
             select pg_current_xact_id()::text"
        );
        let id = first_text(&mut connection, begin).await.map_err(|e| unavailable(e.into()))?;
        for migration in migrations {
            let up = sqlx::raw_sql(AssertSqlSafe(migration.up.clone()));
            up.execute(&mut connection).await.map_err(|error| refused(plugin, migration, error))?;
            let now =
                "select pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text".to_owned();
            let now = first_text(&mut connection, now).await.map_err(|e| unavailable(e.into()))?;
            if now != id {
                return Err(ModuleError::Rejected(format!(
                    "migration {} ({}) of plugin {plugin} ends the transaction itself: \
                     take out its commit or rollback, and see what it has left in schema {}",
                    migration.version, migration.name, role.schema,
                )));
            }
        }
        let end = format!("comment on schema {} is '{mark}'; commit", role.schema);
        first_text(&mut connection, end).await.map_err(|error| match migrations.last() {
            // Deferred constraints fail here.
            Some(last) => refused(plugin, last, error),
            None => unavailable(error.into()),
        })?;
        Ok(())
    }
}

async fn applied(
    connection: &mut PgConnection,
    plugin: &PluginName,
    role: &GuestRole,
) -> Result<Applied, StoreError> {
    let checksums = sqlx::query_scalar(
        "select checksum from wasaga.plugin_migrations where plugin = $1 order by version",
    )
    .bind(plugin.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let mark = sqlx::query_scalar(
        "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = $1",
    )
    .bind(&role.schema)
    .fetch_optional(connection)
    .await?
    .flatten();
    Ok(Applied { checksums, mark })
}

/// Says up to which migration, of exactly this content, the schema has come.
fn mark(migrations: &[Migration]) -> String {
    let all: Vec<u8> = migrations.iter().flat_map(|migration| checksum(migration).0).collect();
    format!("wasaga: {} migrations, {}", migrations.len(), Digest::of(&all))
}

fn checksum(migration: &Migration) -> Digest {
    Digest::of(migration.up.as_bytes())
}

fn refused(plugin: &PluginName, migration: &Migration, error: sqlx::Error) -> ModuleError {
    let code = error.as_database_error().and_then(DatabaseError::code).map(String::from);
    let (Some(code), sqlx::Error::Database(database)) = (code, &error) else {
        return unavailable(error.into());
    };
    // Somebody else was in the way, or the server goes down.
    if matches!(code.as_str(), "40001" | "40P01" | "55P03") || code.starts_with("57P") {
        return unavailable(error.into());
    }
    ModuleError::Rejected(format!(
        "migration {} ({}) of plugin {plugin} failed: {code}: {}",
        migration.version,
        migration.name,
        database.message(),
    ))
}

fn unavailable(error: StoreError) -> ModuleError {
    ModuleError::Unavailable(error.to_string())
}
