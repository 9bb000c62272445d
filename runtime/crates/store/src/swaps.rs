//! Changes of `wasaga.activations` and `wasaga.canaries`, each in one transaction with its entry in the history.

use sqlx::{PgConnection, types::Json};
use wasaga_domain::{
    ids::{Digest, PluginName},
    mail::Audit,
    ports::{ModuleError, NewModule},
    swap::{CanaryCounts, CanaryPlan, Change, Part, Swap, Swapped},
};

use crate::{
    Store, StoreError,
    definitions::definition_add,
    guest_migrations::check_versions,
    modules::{module_add, unavailable},
    schedules::schedules_set,
    steps_needed::lacking,
};

/// What runs before a change.
#[derive(Default)]
struct Before {
    active: Option<Digest>,
    undo: Option<Digest>,
    canary: Option<Digest>,
    generation: i64,
}

impl Store {
    /// Makes a change for a module; see [`wasaga_domain::ports::ModuleStore::swap`].
    pub(crate) async fn module_swap(
        &self,
        module: NewModule,
        swap: &Swap,
    ) -> Result<Swapped, ModuleError> {
        let plugin = &module.manifest.name;
        check_versions(plugin, module.migrations())?;
        if !module.sql && !module.migrations().is_empty() {
            return Err(ModuleError::Rejected(format!(
                "plugin {plugin} has migrations, but is not granted sql: grant it, or take them out"
            )));
        }
        let is_called = swap.change != Change::Pushed;
        // Committed by itself: the role can log in only then.
        let role = if is_called && (module.sql || module.event_store) {
            Some(self.guest_role_ensure(plugin).await?)
        } else {
            None
        };

        let mut tx = self.pool.begin().await.map_err(unavailable)?;
        lock(&mut tx).await.map_err(unavailable)?;
        let before = Before::read(&mut tx, plugin).await.map_err(unavailable)?;
        before.refuse(&module, swap).map_or(Ok(()), |why| Err(ModuleError::Rejected(why)))?;
        let lacking = if is_called && before.active != Some(module.digest) {
            lacking(&mut tx, &module, &swap.change).await.map_err(unavailable)?
        } else {
            None
        };
        if let Some(lacking) = lacking.as_ref().filter(|_| !swap.force) {
            return Err(ModuleError::Rejected(lacking.clone()));
        }
        module_add(&mut tx, &module).await.map_err(unavailable)?;
        if swap.change.activates() {
            definitions_add(&mut tx, &module).await?;
        }
        if let Some(role) = role {
            self.guest_migrate(&mut tx, plugin, &role, module.migrations()).await?;
            self.guests.set_role(plugin, role);
        }
        if is_called {
            event_store_set(&mut tx, &module, &swap.change).await.map_err(unavailable)?;
        }
        let forced = lacking.is_some();
        let generation =
            before.change(&mut tx, &module, swap, forced).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        // Where it fails, the host that looks for messages on their way out makes up for it.
        if swap.change.activates()
            && let Err(error) = self.handled_topics_begin().await
        {
            tracing::warn!(%error, %plugin, "its topics' messages wait for a while");
        }
        Ok(Swapped {
            plugin: plugin.clone(),
            version: module.manifest.version.clone(),
            digest: module.digest,
            previous: before.active,
            generation,
        })
    }

    /// Ends a part of the plugin's activation; answers whether there was one.
    pub(crate) async fn part_end(
        &self,
        plugin: &PluginName,
        part: Part,
        by: &Audit,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await?;
        lock(&mut tx).await?;
        let ended = match part {
            Part::Canary => canary_end(&mut tx, plugin, part.ended(), by).await?,
            Part::Undo => undo_end(&mut tx, plugin, by).await?,
        };
        tx.commit().await?;
        Ok(ended)
    }

    /// Adds what a host has counted of a canary's calls; where they end it the answer is why.
    pub(crate) async fn canary_count(
        &self,
        plugin: &PluginName,
        canary: i64,
        counts: CanaryCounts,
    ) -> Result<Option<String>, StoreError> {
        let CanaryCounts { canary: own, active } = counts;
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let why = sqlx::query_scalar("select wasaga.canary_count($1, $2, $3, $4, $5, $6)")
            .bind(plugin.as_str())
            .bind(canary)
            .bind(count(own.calls))
            .bind(count(own.failures))
            .bind(count(active.calls))
            .bind(count(active.failures))
            .fetch_one(&self.pool)
            .await?;
        Ok(why)
    }
}

impl Before {
    async fn read(connection: &mut PgConnection, plugin: &PluginName) -> Result<Self, StoreError> {
        type Row = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>, i64);
        let row: Option<Row> = sqlx::query_as(
            "select a.digest, a.undo_digest, c.digest, a.generation
             from wasaga.activations a left join wasaga.canaries c using (plugin) where a.plugin = $1",
        )
        .bind(plugin.as_str())
        .fetch_optional(connection)
        .await?;
        let Some((active, undo, canary, generation)) = row else { return Ok(Self::default()) };
        // Of 32 bytes, as the table's check has it.
        let digest = |bytes: Vec<u8>| bytes.try_into().ok().map(Digest);
        Ok(Self {
            active: digest(active),
            undo: undo.and_then(digest),
            canary: canary.and_then(digest),
            generation,
        })
    }

    /// Why a change has nothing to stand on.
    fn refuse(&self, module: &NewModule, swap: &Swap) -> Option<String> {
        let NewModule { digest, manifest, .. } = module;
        let plugin = &manifest.name;
        if let Some(over) = swap.over.filter(|over| self.active != Some(*over)) {
            return Some(format!(
                "plugin {plugin}: module {over} is not the active one any more: somebody else was first, look at its \
                 history"
            ));
        }
        match &swap.change {
            Change::Pushed | Change::Activated | Change::RolledBack => None,
            Change::CanaryPromoted => (self.canary != Some(*digest)).then(|| {
                format!("plugin {plugin}: module {digest} is not its canary any more: look at its history")
            }),
            Change::CanaryStarted(plan) if plan.fault().is_some() => plan.fault(),
            Change::CanaryStarted(_) | Change::UndoTakenOver => match self.active {
                None => Some(format!(
                    "plugin {plugin} has no active module beside which {digest} could run: activate it"
                )),
                Some(active) if active == *digest => {
                    Some(format!("plugin {plugin}: module {digest} is the active one already"))
                }
                Some(_) => None,
            },
        }
    }

    async fn change(
        &self,
        connection: &mut PgConnection,
        module: &NewModule,
        swap: &Swap,
        forced: bool,
    ) -> Result<i64, StoreError> {
        let plugin = &module.manifest.name;
        if swap.change.activates() {
            let by = Audit {
                reason: format!("module {} was activated", module.digest),
                ..swap.by.clone()
            };
            if swap.change == Change::CanaryPromoted {
                canary_forget(connection, plugin).await?;
            } else if self.canary.is_some() {
                canary_end(connection, plugin, Part::Canary.ended(), &by).await?;
            }
            if self.undo.is_some() {
                undo_end(connection, plugin, &by).await?;
            }
        }
        let generation = match &swap.change {
            Change::Pushed => self.generation,
            Change::Activated | Change::RolledBack | Change::CanaryPromoted => {
                activation_set(connection, plugin, module.digest).await?
            }
            Change::CanaryStarted(plan) => {
                let by = Audit { reason: "another one was started".into(), ..swap.by.clone() };
                canary_end(connection, plugin, Part::Canary.ended(), &by).await?;
                canary_start(connection, plugin, module.digest, plan).await?
            }
            Change::UndoTakenOver => undo_set(connection, plugin, Some(module.digest)).await?,
        };
        let figures = match &swap.change {
            Change::CanaryStarted(plan) => Some(Json(plan)),
            _ => None,
        };
        sqlx::query(
            "insert into wasaga.activation_history (plugin, what, digest, previous, by, reason, forced, figures)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(plugin.as_str())
        .bind(swap.change.as_str())
        .bind(&module.digest.0[..])
        .bind(self.active.as_ref().map(|digest| &digest.0[..]))
        .bind(swap.by.by.as_deref())
        .bind(&swap.by.reason)
        .bind(forced)
        .bind(figures)
        .execute(connection)
        .await?;
        Ok(generation)
    }
}

/// One change at a time. Not an advisory lock: a guest could take that too.
async fn lock(connection: &mut PgConnection) -> Result<(), StoreError> {
    let lock = sqlx::query("lock table wasaga.activations in share row exclusive mode");
    lock.execute(connection).await?;
    Ok(())
}

async fn definitions_add(
    connection: &mut PgConnection,
    module: &NewModule,
) -> Result<(), ModuleError> {
    let plugin = &module.manifest.name;
    let mut sagas: Vec<_> = module.manifest.sagas.iter().collect();
    // In one order for all, since each name is locked.
    sagas.sort_unstable_by_key(|saga| (&saga.name, saga.version));
    for saga in sagas {
        definition_add(connection, plugin, module.digest, saga)
            .await
            .map_err(unavailable)?
            .map_err(ModuleError::Rejected)?;
    }
    schedules_set(connection, plugin, &module.manifest.sagas).await.map_err(unavailable)
}

/// What `wasaga_guest`'s functions go by. Beside an active module that has it, another one takes nothing from it.
async fn event_store_set(
    connection: &mut PgConnection,
    module: &NewModule,
    change: &Change,
) -> Result<(), StoreError> {
    sqlx::query(
        "update wasaga.plugin_roles set event_store = $2 or (event_store and not $3) where plugin = $1",
    )
    .bind(module.manifest.name.as_str())
    .bind(module.event_store)
    .bind(change.activates())
    .execute(connection)
    .await?;
    Ok(())
}

/// The generation is new also where the module is not: the operator's grants may have changed.
async fn activation_set(
    connection: &mut PgConnection,
    plugin: &PluginName,
    digest: Digest,
) -> Result<i64, StoreError> {
    let generation = sqlx::query_scalar(
        "insert into wasaga.activations (plugin, digest) values ($1, $2)
         on conflict (plugin) do update set digest = excluded.digest, activated_at = now(),
             generation = nextval('wasaga.generations')
         returning generation",
    )
    .bind(plugin.as_str())
    .bind(&digest.0[..])
    .fetch_one(connection)
    .await?;
    Ok(generation)
}

async fn undo_set(
    connection: &mut PgConnection,
    plugin: &PluginName,
    digest: Option<Digest>,
) -> Result<i64, StoreError> {
    let generation = sqlx::query_scalar(
        "update wasaga.activations set undo_digest = $2, generation = nextval('wasaga.generations')
         where plugin = $1 returning generation",
    )
    .bind(plugin.as_str())
    .bind(digest.as_ref().map(|digest| &digest.0[..]))
    .fetch_one(connection)
    .await?;
    Ok(generation)
}

async fn undo_end(
    connection: &mut PgConnection,
    plugin: &PluginName,
    by: &Audit,
) -> Result<bool, StoreError> {
    let ended = sqlx::query(
        "insert into wasaga.activation_history (plugin, what, digest, previous, by, reason)
         select plugin, $2, undo_digest, digest, $3, $4 from wasaga.activations
         where plugin = $1 and undo_digest is not null",
    )
    .bind(plugin.as_str())
    .bind(Part::Undo.ended())
    .bind(by.by.as_deref())
    .bind(&by.reason)
    .execute(&mut *connection)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    undo_set(connection, plugin, None).await?;
    Ok(true)
}

async fn canary_start(
    connection: &mut PgConnection,
    plugin: &PluginName,
    digest: Digest,
    plan: &CanaryPlan,
) -> Result<i64, StoreError> {
    sqlx::query(
        "insert into wasaga.canaries (plugin, digest, percent, max_error_percent, min_calls, window_ms)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(plugin.as_str())
    .bind(&digest.0[..])
    .bind(plan.percent.cast_signed())
    .bind(plan.max_error_percent)
    .bind(i64::from(plan.min_calls))
    .bind(plan.window_ms.cast_signed())
    .execute(&mut *connection)
    .await?;
    let generation = sqlx::query_scalar(
        "update wasaga.activations set generation = nextval('wasaga.generations') where plugin = $1
         returning generation",
    )
    .bind(plugin.as_str())
    .fetch_one(connection)
    .await?;
    Ok(generation)
}

async fn canary_end(
    connection: &mut PgConnection,
    plugin: &PluginName,
    what: &str,
    by: &Audit,
) -> Result<bool, StoreError> {
    let ended = sqlx::query_scalar("select wasaga.canary_end($1, $2, $3, $4, null)")
        .bind(plugin.as_str())
        .bind(what)
        .bind(by.by.as_deref())
        .bind(&by.reason)
        .fetch_one(connection)
        .await?;
    Ok(ended)
}

/// A canary that is the active module from now on.
async fn canary_forget(
    connection: &mut PgConnection,
    plugin: &PluginName,
) -> Result<(), StoreError> {
    sqlx::query(
        "with gone as (delete from wasaga.canaries where plugin = $1 returning id)
         delete from wasaga.canary_calls where canary in (select id from gone)",
    )
    .bind(plugin.as_str())
    .execute(connection)
    .await?;
    Ok(())
}
