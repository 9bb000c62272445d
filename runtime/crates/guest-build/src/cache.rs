//! Downloads that outlive a run: `$XDG_CACHE_HOME/wasaga` or `~/.cache/wasaga`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The user's cache directory of wasaga.
pub fn user_cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: no place for downloads")?;
    Ok(base.join("wasaga"))
}

/// `parent/name`, made by `fill` when it is not there yet. `fill` gets an empty directory that
/// takes its final name once it is complete; of two callers at once one fills and the other
/// waits.
pub fn filled_once(
    parent: &Path,
    name: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let done = parent.join(name);
    if done.is_dir() {
        return Ok(done);
    }
    let cannot_write = || format!("cannot write in {}", parent.display());
    fs::create_dir_all(parent).with_context(cannot_write)?;
    let lock = File::create(parent.join(format!("{name}.lock"))).with_context(cannot_write)?;
    lock.lock().with_context(cannot_write)?;
    if !done.is_dir() {
        let partial = parent.join(format!("{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(cannot_write)?;
        }
        fs::create_dir(&partial).with_context(cannot_write)?;
        fill(&partial)?;
        fs::rename(&partial, &done).with_context(cannot_write)?;
    }
    Ok(done)
}
