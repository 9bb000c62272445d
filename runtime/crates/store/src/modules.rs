//! `wasaga.modules` and `wasaga.activations`: the code that all hosts run.

use std::fmt::Display;

use async_trait::async_trait;
use sqlx::{FromRow, PgConnection, types::Json};
use wasaga_domain::{
    ids::{Digest, PluginName},
    mail::Audit,
    ports::{Activation, ModuleError, ModuleStore, NewModule},
    swap::{Canary, CanaryCounts, Part, Swap, Swapped},
};

use crate::{Store, StoreError};

#[derive(FromRow)]
struct Row {
    plugin: String,
    digest: Vec<u8>,
    undo_digest: Option<Vec<u8>>,
    generation: i64,
    canary: Option<i64>,
    canary_digest: Option<Vec<u8>>,
    percent: Option<i32>,
}

#[async_trait]
impl ModuleStore for Store {
    async fn activations(&self) -> Result<Vec<Activation>, ModuleError> {
        let rows: Vec<Row> = sqlx::query_as(
            "select a.plugin, a.digest, a.undo_digest, a.generation, c.id as canary, c.digest as canary_digest, c.percent
             from wasaga.activations a left join wasaga.canaries c using (plugin) order by a.generation",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(unavailable)?;
        rows.into_iter().map(Row::activation).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn module(&self, digest: Digest) -> Result<Vec<u8>, ModuleError> {
        sqlx::query_scalar("select bytes from wasaga.modules where digest = $1")
            .bind(&digest.0[..])
            .fetch_optional(&self.pool)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| {
                ModuleError::Rejected(format!("module {digest} is not in wasaga.modules"))
            })
    }

    async fn signature(&self, digest: Digest) -> Result<Option<String>, ModuleError> {
        let of_module = "select signature from wasaga.module_signatures where digest = $1";
        let query = sqlx::query_scalar(of_module).bind(&digest.0[..]);
        query.fetch_optional(&self.pool).await.map_err(unavailable)
    }

    async fn sign(&self, digest: Digest, signature: &str) -> Result<(), ModuleError> {
        let sign = "insert into wasaga.module_signatures (digest, signature) values ($1, $2)
                    on conflict (digest) do update set signature = excluded.signature";
        let query = sqlx::query(sign).bind(&digest.0[..]).bind(signature);
        query.execute(&self.pool).await.map(drop).map_err(unavailable)
    }

    async fn swap(&self, module: NewModule, swap: &Swap) -> Result<Swapped, ModuleError> {
        self.module_swap(module, swap).await
    }

    async fn end(&self, plugin: &PluginName, part: Part, by: &Audit) -> Result<bool, ModuleError> {
        self.part_end(plugin, part, by).await.map_err(unavailable)
    }

    async fn known(&self, digest: Digest) -> Result<Option<String>, ModuleError> {
        self.module_known(digest).await.map_err(unavailable)
    }

    async fn before(&self, plugin: &PluginName) -> Result<Option<Digest>, ModuleError> {
        self.module_before(plugin).await.map_err(unavailable)
    }

    async fn needed(&self, plugin: &PluginName) -> Result<Option<String>, ModuleError> {
        self.plugin_needed(plugin).await.map_err(unavailable)
    }

    async fn count(
        &self,
        plugin: &PluginName,
        canary: i64,
        counts: CanaryCounts,
    ) -> Result<Option<String>, ModuleError> {
        self.canary_count(plugin, canary, counts).await.map_err(unavailable)
    }
}

impl Row {
    fn activation(self) -> Result<Activation, StoreError> {
        let stored = |column, reason: &dyn Display| {
            StoreError::stored("wasaga.activations", column, &self.plugin, reason)
        };
        let read = |column, digest: &[u8]| {
            digest.try_into().map(Digest).map_err(|_| stored(column, &"must have 32 bytes"))
        };
        let canary = match (self.canary, &self.canary_digest, self.percent) {
            (Some(id), Some(digest), Some(percent)) => Some(Canary {
                id,
                digest: read("canary", digest)?,
                percent: percent.cast_unsigned(),
            }),
            _ => None,
        };
        let undo = self.undo_digest.as_deref().map(|undo| read("undo_digest", undo));
        Ok(Activation {
            plugin: self.plugin.parse().map_err(|error| stored("plugin", &error))?,
            digest: read("digest", &self.digest)?,
            undo: undo.transpose()?,
            canary,
            generation: self.generation,
        })
    }
}

impl Store {
    /// Whether there is a module of this digest.
    pub(crate) async fn module_exists(&self, digest: Digest) -> Result<bool, StoreError> {
        let exists = "select exists (select from wasaga.modules where digest = $1)";
        let exists = sqlx::query_scalar(exists).bind(&digest.0[..]).fetch_one(&self.pool).await?;
        Ok(exists)
    }
}

/// Keeps the module, unless it is kept already.
pub(crate) async fn module_add(
    connection: &mut PgConnection,
    module: &NewModule,
) -> Result<(), sqlx::Error> {
    if module.bytes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into wasaga.modules (digest, plugin, version, manifest, bytes) values ($1, $2, $3, $4, $5)
         on conflict (digest) do nothing",
    )
    .bind(&module.digest.0[..])
    .bind(module.manifest.name.as_str())
    .bind(&module.manifest.version)
    .bind(Json(&module.manifest))
    .bind(&module.bytes)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) fn unavailable(error: impl Into<StoreError>) -> ModuleError {
    ModuleError::Unavailable(error.into().to_string())
}
