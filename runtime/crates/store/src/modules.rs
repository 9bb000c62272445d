//! `wasaga.modules` and `wasaga.activations`: the code that all hosts run.

use std::fmt::Display;

use async_trait::async_trait;
use sqlx::{PgConnection, types::Json};
use wasaga_domain::{
    ids::{Digest, PluginName},
    ports::{Activation, ModuleError, ModuleStore, NewModule},
};

use crate::{
    Store, StoreError, definitions::definition_add, guest_migrations::check_versions,
    schedules::schedules_set,
};

#[async_trait]
impl ModuleStore for Store {
    async fn activations(&self) -> Result<Vec<Activation>, ModuleError> {
        let rows: Vec<(String, Vec<u8>, i64)> = sqlx::query_as(
            "select plugin, digest, generation from wasaga.activations order by generation",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(unavailable)?;
        let activation = |(plugin, digest, generation): (String, Vec<u8>, i64)| {
            let stored = |column, reason: &dyn Display| {
                StoreError::stored("wasaga.activations", column, &plugin, reason)
            };
            let digest =
                Digest(digest.try_into().map_err(|_| stored("digest", &"must have 32 bytes"))?);
            let name = plugin.parse().map_err(|error| stored("plugin", &error))?;
            Ok(Activation { plugin: name, digest, generation })
        };
        rows.into_iter().map(activation).collect::<Result<_, StoreError>>().map_err(unavailable)
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

    async fn activate(&self, module: NewModule) -> Result<i64, ModuleError> {
        let plugin = &module.manifest.name;
        check_versions(plugin, module.migrations())?;
        if !module.sql && !module.migrations().is_empty() {
            return Err(ModuleError::Rejected(format!(
                "plugin {plugin} has migrations, but is not granted sql: grant it, or take them out"
            )));
        }
        // Committed by itself: the role can log in only then.
        let role = if module.sql || module.event_store {
            Some(self.guest_role_ensure(plugin).await?)
        } else {
            None
        };

        let mut tx = self.pool.begin().await.map_err(unavailable)?;
        sqlx::query(
            // Not an advisory lock: a guest could take that too.
            "lock table wasaga.activations in share row exclusive mode",
        )
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        module_add(&mut tx, &module).await.map_err(unavailable)?;
        let mut sagas: Vec<_> = module.manifest.sagas.iter().collect();
        // In one order for all, since each name is locked.
        sagas.sort_unstable_by_key(|saga| (&saga.name, saga.version));
        for saga in sagas {
            definition_add(&mut tx, plugin, module.digest, saga)
                .await
                .map_err(unavailable)?
                .map_err(ModuleError::Rejected)?;
        }
        if let Some(role) = role {
            self.guest_migrate(&mut tx, plugin, &role, module.migrations()).await?;
            self.guests.set_role(plugin, role);
        }
        event_store_set(&mut tx, plugin, module.event_store).await.map_err(unavailable)?;
        schedules_set(&mut tx, plugin, &module.manifest.sagas).await.map_err(unavailable)?;
        let generation =
            activation_set(&mut tx, plugin, module.digest).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        // Where it fails, the host that looks for messages on their way out makes up for it.
        if let Err(error) = self.handled_topics_begin().await {
            tracing::warn!(%error, %plugin, "its topics' messages wait for a while");
        }
        Ok(generation)
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

async fn module_add(connection: &mut PgConnection, module: &NewModule) -> Result<(), sqlx::Error> {
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

/// What `wasaga_guest`'s functions go by.
async fn event_store_set(
    connection: &mut PgConnection,
    plugin: &PluginName,
    granted: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query("update wasaga.plugin_roles set event_store = $2 where plugin = $1")
        .bind(plugin.as_str())
        .bind(granted)
        .execute(connection)
        .await?;
    Ok(())
}

/// The generation is new also where the module is not: the operator's grants may have changed.
async fn activation_set(
    connection: &mut PgConnection,
    plugin: &PluginName,
    digest: Digest,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "insert into wasaga.activations (plugin, digest) values ($1, $2)
         on conflict (plugin) do update set digest = excluded.digest, activated_at = now(),
             generation = nextval('wasaga.generations')
         returning generation",
    )
    .bind(plugin.as_str())
    .bind(&digest.0[..])
    .fetch_one(connection)
    .await
}

fn unavailable(error: impl Into<StoreError>) -> ModuleError {
    ModuleError::Unavailable(error.into().to_string())
}
