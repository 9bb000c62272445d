//! Reaching the database and its schema, for the host and for `migrate`.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use wasaga_store::{Store, reach::Unreachable};

use crate::config::{Database, Migrate};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// A store whose database answers.
pub(crate) async fn database(config: &Database) -> anyhow::Result<Store> {
    let store = Store::new(config.options()?).map_err(|error| anyhow!("database.url: {error}"))?;
    reach(&store, config).await?;
    Ok(store)
}

/// Waits for a database that is away, no longer than configured. One that refuses us is not waited for.
pub(crate) async fn reach(store: &Store, config: &Database) -> anyhow::Result<()> {
    let (began, patience) = (Instant::now(), Duration::from_millis(config.start_timeout_ms));
    let mut told = false;
    loop {
        match store.reach().await {
            Ok(()) => return Ok(()),
            Err(Unreachable::Refused(why)) => bail!(why),
            Err(Unreachable::Away(why)) if began.elapsed() + PAUSE > patience => {
                bail!("{why} (waited {} s: database.start_timeout_ms)", patience.as_secs_f32())
            }
            Err(Unreachable::Away(why)) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("{why} (waiting for {} s)", patience.as_secs_f32());
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Brings the schema up to date, or refuses an older one, as configured.
pub(crate) async fn schema(store: &Store, config: &Database) -> anyhow::Result<()> {
    if config.migrate == Migrate::Auto {
        return migrate(store).await;
    }
    let migrations = store.migrate_status().await?;
    let missing: Vec<_> =
        migrations.iter().filter(|known| !known.applied).map(|known| known.name).collect();
    if !missing.is_empty() {
        bail!(
            "the database lacks the migrations {}: run `wasaga migrate up`, or set database.migrate = \"auto\"",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Brings the schema up to date.
pub(crate) async fn migrate(store: &Store) -> anyhow::Result<()> {
    store.migrate_up().await.with_context(|| {
        format!("the schema of the database at {} can't be brought up to date", store.address())
    })
}
