//! The schema's migrations, embedded. To add one: `migrations/NNNN_name.up.sql` and `.down.sql`, and a line here.

use std::borrow::Cow;

use sqlx::{
    Connection, PgConnection, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::{Store, StoreError};

macro_rules! scripts {
    ($($version:literal $name:literal;)*) => {
        [$(
            ($version, $name,
             include_str!(concat!("../../../../migrations/", $name, ".up.sql")),
             include_str!(concat!("../../../../migrations/", $name, ".down.sql"))),
        )*]
    };
}

/// Version, name, up, down.
const SCRIPTS: &[(i64, &str, &str, &str)] = &scripts! {
    1 "0001_sagas";
    2 "0002_tasks";
    3 "0003_plugins";
    4 "0004_commit";
    5 "0005_search";
    6 "0006_schedules";
    7 "0007_events";
    8 "0008_start";
    9 "0009_retention";
    10 "0010_emit";
    11 "0011_swaps";
};

/// A migration, as `wasaga migrate status` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// From 1.
    pub version: i64,
    /// Its file's name.
    pub name: &'static str,
    /// Whether the database has it.
    pub applied: bool,
}

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, kind, sql: &'static str| {
        Migration::new(version, Cow::Borrowed(name), kind, SqlStr::from_static(sql), false)
    };
    let migrations = SCRIPTS.iter().flat_map(|&(version, name, up, down)| {
        [
            migration(version, name, MigrationType::ReversibleUp, up),
            migration(version, name, MigrationType::ReversibleDown, down),
        ]
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.create_schema("wasaga");
    // During a roll-out hosts of the older version start on the newer schema.
    migrator.set_ignore_missing(true);
    migrator.dangerous_set_table_name("wasaga.migrations");
    migrator
}

impl Store {
    /// Brings the schema up to this host's version. Several hosts may do so at once.
    pub async fn migrate_up(&self) -> Result<(), MigrateError> {
        if self.direct.is_none() {
            let known =
                self.migrate_status().await.map_err(|error| MigrateError::Source(error.into()))?;
            if known.iter().all(|migration| migration.applied) {
                return Ok(());
            }
        }
        migrator().run(&mut self.direct_connection().await?).await
    }

    /// Takes the schema down to `target`; 0 takes everything away.
    pub async fn migrate_down(&self, target: i64) -> Result<(), MigrateError> {
        migrator().undo(&mut self.direct_connection().await?, target).await
    }

    /// Migrations lock the database for a session, which a pooler in transaction mode does not have.
    async fn direct_connection(&self) -> Result<PgConnection, MigrateError> {
        let no_way = "database.direct_url is missing: migrations go past the pooler, set it to Postgres's own place";
        let direct =
            self.direct.as_ref().ok_or_else(|| sqlx::Error::Configuration(no_way.into()))?;
        Ok(PgConnection::connect_with(direct).await?)
    }

    /// Every migration this host knows, in order, and whether the database has it.
    pub async fn migrate_status(&self) -> Result<Vec<MigrationStatus>, StoreError> {
        let table: Option<String> =
            sqlx::query_scalar("select to_regclass('wasaga.migrations')::text")
                .fetch_one(&self.pool)
                .await?;
        let applied: Vec<i64> = match table {
            None => Vec::new(),
            Some(_) => {
                sqlx::query_scalar("select version from wasaga.migrations where success")
                    .fetch_all(&self.pool)
                    .await?
            }
        };
        let status = |&(version, name, _, _): &(i64, &'static str, &str, &str)| MigrationStatus {
            version,
            name,
            applied: applied.contains(&version),
        };
        Ok(SCRIPTS.iter().map(status).collect())
    }
}
