//! The directory of a running service: unique, locked by its owner, and removed with it.
//!
//! An owner that was killed with SIGKILL removes nothing. Its lock is free then, so the next
//! start of any service finds the directory, ends the processes that work in it and removes it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::daemon::kill_and_wait;
use crate::net::random_u64;
use crate::process;

const PREFIX: &str = "wasaga-run-";
const LOCK: &str = "owner.lock";
/// Only these are ended when they are found to work in a directory nobody owns.
const SERVICE_PROGRAMS: [&str; 2] = ["postgres", "java"];

pub(crate) struct WorkDir {
    path: PathBuf,
    _lock: File,
}

impl WorkDir {
    /// A new directory `wasaga-run-KIND-RANDOM` that every user may enter.
    pub fn create(kind: &str) -> Result<Self> {
        Self::create_in(&root(), kind)
    }

    /// The same in memory, where the system has a place for it.
    pub fn in_memory(kind: &str) -> Result<Self> {
        let memory = PathBuf::from("/dev/shm");
        Self::create_in(&if memory.is_dir() { memory } else { root() }, kind)
    }

    fn create_in(root: &Path, kind: &str) -> Result<Self> {
        sweep(root);
        let name = format!("{PREFIX}{kind}-{:016x}", random_u64());
        // Locked before it has the name that a sweep looks for.
        let unlocked = root.join(format!(".{name}"));
        let path = root.join(name);
        let made = || -> std::io::Result<File> {
            fs::create_dir(&unlocked)?;
            fs::set_permissions(&unlocked, Permissions::from_mode(0o755))?;
            let lock = File::create(unlocked.join(LOCK))?;
            lock.lock()?;
            fs::rename(&unlocked, &path)?;
            Ok(lock)
        };
        let lock = made().with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// /var/tmp where it exists: /tmp is often memory, on which fsync costs nothing and a bench
/// would measure nothing. It is also open to the unprivileged user that Postgres wants.
fn root() -> PathBuf {
    let persistent = PathBuf::from("/var/tmp");
    if persistent.is_dir() { persistent } else { std::env::temp_dir() }
}

fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // A lock file of another user cannot be opened for writing: not ours to remove.
        let Ok(lock) = File::options().write(true).open(path.join(LOCK)) else {
            continue;
        };
        if ours && lock.try_lock().is_ok() {
            end_processes_in(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn end_processes_in(directory: &Path) {
    let inside = directory.to_string_lossy();
    let orphans: Vec<_> = process::all()
        .into_iter()
        .filter(|process| {
            let arguments = process::arguments(process.pid);
            let program = arguments.first().map(|first| first.rsplit('/').next());
            program.flatten().is_some_and(|name| SERVICE_PROGRAMS.contains(&name))
                && arguments.iter().any(|argument| argument.contains(inside.as_ref()))
        })
        .flat_map(|process| process::tree(process.pid))
        .collect();
    let _ = kill_and_wait(&orphans);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lives_as_long_as_its_owner() {
        let owned = WorkDir::create("test").unwrap();
        let orphan = WorkDir::create("test").unwrap();
        let (owned_path, orphan_path) = (owned.path().to_owned(), orphan.path().to_owned());
        // What a killed owner leaves: the directory, and nobody who holds its lock.
        fs::rename(&orphan_path, orphan_path.with_extension("kept")).unwrap();
        drop(orphan);
        fs::rename(orphan_path.with_extension("kept"), &orphan_path).unwrap();

        drop(WorkDir::create("test").unwrap());
        assert!(owned_path.exists());
        assert!(!orphan_path.exists());
        drop(owned);
        assert!(!owned_path.exists());
    }
}
