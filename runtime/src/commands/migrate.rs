//! `wasaga migrate`.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use wasaga_store::Store;

use crate::{config::Config, host::startup};

/// Where `new` writes.
const DIRECTORY: &str = "migrations";

pub(crate) async fn up(config: &Config) -> anyhow::Result<()> {
    let store = startup::database(&config.database).await?;
    startup::migrate(&store).await?;
    print(&store).await
}

/// Down to `to`; absent: one less than what the database has.
pub(crate) async fn down(config: &Config, to: Option<i64>) -> anyhow::Result<()> {
    let store = startup::database(&config.database).await?;
    let migrations = store.migrate_status().await?;
    let applied: Vec<i64> =
        migrations.iter().filter(|known| known.applied).map(|known| known.version).collect();
    let Some(newest) = applied.last() else {
        println!("the database has no migration");
        return Ok(());
    };
    let target = to.unwrap_or_else(|| applied.iter().rev().nth(1).copied().unwrap_or(0));
    if target > *newest || (target != 0 && !applied.contains(&target)) {
        bail!("--to {target}: the database has versions {applied:?}: name one of them, or 0");
    }
    store.migrate_down(target).await.context("the schema can't be taken down")?;
    print(&store).await
}

pub(crate) async fn status(config: &Config) -> anyhow::Result<()> {
    print(&startup::database(&config.database).await?).await
}

async fn print(store: &Store) -> anyhow::Result<()> {
    for migration in store.migrate_status().await? {
        let state = if migration.applied { "applied" } else { "missing" };
        println!("{state}  {}", migration.name);
    }
    Ok(())
}

/// Writes the two files of a new migration, under the number after the last one there.
pub(crate) fn new(name: &str) -> anyhow::Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        bail!("migration name {name:?}: must be of a to z, 0 to 9 and _, as add_tenants");
    }
    let directory = Path::new(DIRECTORY);
    let entries = fs::read_dir(directory)
        .with_context(|| format!("./{DIRECTORY} can't be read: run this in the project's root"))?;
    let mut last = 0;
    for entry in entries {
        let file = entry?.file_name();
        let number = file.to_str().and_then(|file| file.split_once('_'));
        last = last.max(number.and_then(|(number, _)| number.parse().ok()).unwrap_or(0));
    }
    let number = last + 1;
    for (direction, does) in [("up", "What changes, and why."), ("down", "Takes it back.")] {
        let path = directory.join(format!("{number:04}_{name}.{direction}.sql"));
        fs::write(&path, format!("-- {does}\n"))
            .with_context(|| format!("{} can't be written", path.display()))?;
        println!("{}", path.display());
    }
    println!("list {number} \"{number:04}_{name}\" in runtime/crates/store/src/migrations.rs");
    Ok(())
}
