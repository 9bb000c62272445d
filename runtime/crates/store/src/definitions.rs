//! `wasaga.definitions`: every definition that was ever active. Sagas in flight go on under the version they
//! started with, so nothing here changes or goes away.

use sqlx::{PgConnection, types::Json};
use wasaga_domain::{
    ids::{Digest, PluginName},
    manifest::Saga,
};

use crate::{Store, StoreError};

impl Store {
    /// A definition, the plugin it belongs to and the module that brought it, also where it is active no more.
    pub async fn definition_get(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<(Saga, PluginName, Digest)>, StoreError> {
        let row: Option<(String, serde_json::Value, Vec<u8>)> = sqlx::query_as(
            "select plugin, content, digest from wasaga.definitions where name = $1 and version = $2",
        )
        .bind(name)
        .bind(version.cast_signed())
        .fetch_optional(&self.pool)
        .await?;
        let Some((plugin, content, digest)) = row else {
            return Ok(None);
        };
        let stored = |column, reason: String| {
            StoreError::stored("wasaga.definitions", column, format!("{name} {version}"), reason)
        };
        let saga = serde_json::from_value(content)
            .map_err(|error| stored("content", error.to_string()))?;
        let plugin = plugin.try_into().map_err(|error| stored("plugin", format!("{error}")))?;
        let digest =
            digest.try_into().map_err(|_| stored("digest", "must have 32 bytes".into()))?;
        Ok(Some((saga, plugin, Digest(digest))))
    }
}

/// What a definition that is there already says against a new one.
#[derive(sqlx::FromRow)]
struct Known {
    plugin: String,
    digest: Vec<u8>,
    version: i32,
    same: bool,
}

/// Adds a definition, or finds it there with the same content; else a sentence that says what is in the way.
pub(crate) async fn definition_add(
    connection: &mut PgConnection,
    plugin: &PluginName,
    digest: Digest,
    saga: &Saga,
) -> Result<Result<(), String>, StoreError> {
    let Saga { name, version, .. } = saga;
    // Two plugins may come with one name at the same time, in different versions.
    sqlx::query("lock table wasaga.definitions in share row exclusive mode")
        .execute(&mut *connection)
        .await?;
    // jsonb compares what the numbers are, not how they are written.
    let known: Option<Known> = sqlx::query_as(
        "select plugin, digest, version, version <> $2 or content = $3 as same from wasaga.definitions
         where name = $1 and (version = $2 or plugin <> $4) order by version = $2 desc limit 1",
    )
    .bind(name)
    .bind(version.cast_signed())
    .bind(Json(saga))
    .bind(plugin.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    match known {
        Some(known) if known.plugin != plugin.as_str() => {
            return Ok(Err(format!(
                "definition {name} belongs to plugin {} (version {}): give the saga another name",
                known.plugin, known.version,
            )));
        }
        Some(Known { same: false, digest, .. }) => {
            return Ok(Err(format!(
                "definition {name} version {version} exists with other content (from module sha256:{}): \
                 give it a new version",
                hex::encode(digest),
            )));
        }
        Some(_) => return Ok(Ok(())),
        None => {}
    }
    sqlx::query(
        "insert into wasaga.definitions (name, version, plugin, content, digest)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(name)
    .bind(version.cast_signed())
    .bind(plugin.as_str())
    .bind(Json(saga))
    .bind(&digest.0[..])
    .execute(connection)
    .await?;
    Ok(Ok(()))
}
