//! The plugin directory: it feeds the database, and through it all hosts.
//!
//! A `*.wasm` is read when it is whole: its size and time of change are those of the last look, or it has not been
//! written to for a while, as after a rename. A content that this process has not seen yet under that name is offered
//! once, unless it is active already. `FILE.wasm.minisig` is its signature, and part of that content. A file that lies there
//! when a host starts is offered only where nobody has made its module active before: an operator's roll-back, or another
//! host's newer file, was a later word. One that changes while the host runs is a new word. A rejected file is told of once
//! and tried again when it changes; a deleted one changes nothing.

use std::{
    collections::HashMap,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::fs;
use tokio_util::sync::CancellationToken;
use wasaga_domain::{
    ids::Digest,
    mail::Audit,
    ports::ModuleError,
    swap::{Change, Swap},
};

use crate::host::PluginHost;

/// How long a file must lie untouched to be read at the first look.
const UNTOUCHED: Duration = Duration::from_secs(2);

/// Watches the plugin directory and the database.
pub struct Watcher {
    host: Arc<PluginHost>,
    directory: Option<PathBuf>,
    files: HashMap<PathBuf, File>,
    /// Whether the directory was looked at before.
    looked: bool,
    /// What is wrong now, so that it is told once.
    trouble: Option<String>,
}

#[derive(Default)]
struct File {
    /// It was there when this process looked first.
    lay_here: bool,
    stamp: Option<Stamp>,
    /// The stamp that was read last.
    read: Option<Stamp>,
    /// The content that was dealt with last, and its signature.
    dealt: Option<(Digest, Option<String>)>,
}

/// Size and time of change of a file, and of its signature.
type Stamp = ((u64, SystemTime), Option<(u64, SystemTime)>);

impl Watcher {
    /// Without a directory it follows the database alone.
    pub fn new(host: Arc<PluginHost>, directory: Option<PathBuf>) -> Self {
        Self { host, directory, files: HashMap::new(), looked: false, trouble: None }
    }

    /// Looks every `interval` until it is stopped; and tells what canaries' calls come to.
    pub async fn run(self, interval: Duration, stop: CancellationToken) {
        let host = self.host.clone();
        tokio::join!(self.follow(interval, stop.clone()), host.count_canaries(stop));
    }

    async fn follow(mut self, interval: Duration, stop: CancellationToken) {
        let mut interval = tokio::time::interval(interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            self.look().await;
        }
    }

    /// Looks once: at the database, then at the directory. What cannot be done now is done at a later look.
    pub async fn look(&mut self) {
        let looked = self.try_look().await.err();
        if looked != self.trouble {
            if let Some(trouble) = &looked {
                tracing::warn!(trouble, "plugins are not followed for now");
            } else {
                tracing::info!("plugins are followed again");
            }
            self.trouble = looked;
        }
    }

    async fn try_look(&mut self) -> Result<(), String> {
        self.host.sync().await.map_err(|error| error.to_string())?;
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let files = modules_in(directory).await.map_err(|error| {
            format!(
                "the plugin directory {}: {error}: make it, or name another",
                directory.display()
            )
        })?;
        self.files.retain(|path, _| files.iter().any(|(there, _)| there == path));
        let lay_here = !std::mem::replace(&mut self.looked, true);
        for (path, _) in &files {
            let new = || File { lay_here, ..File::default() };
            self.files.entry(path.clone()).or_insert_with(new);
        }
        for (path, stamp) in files {
            let file = self.files.entry(path.clone()).or_default();
            let settled = file.stamp.replace(stamp) == Some(stamp) || untouched(stamp);
            if settled && file.read != Some(stamp) {
                file.take(&self.host, &path, stamp).await?;
            }
        }
        Ok(())
    }
}

impl File {
    async fn take(&mut self, host: &PluginHost, path: &Path, stamp: Stamp) -> Result<(), String> {
        let source = path.display().to_string();
        let bytes = match fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("{source}: {error}")),
        };
        let signature = fs::read_to_string(signature_of(path)).await.ok();
        let digest = Digest::of(&bytes);
        let found = Some((digest, signature.clone()));
        if host.runs(digest) {
            host.accept(&source);
        } else if self.dealt != found {
            let unavailable = |error: ModuleError| format!("{source}: {error}");
            let held = if self.lay_here && self.dealt.is_none() {
                host.held(digest).await.map_err(unavailable)?
            } else {
                None
            };
            if let Some(reason) = held {
                host.hold(source, digest, reason);
            } else {
                let by = Some(format!("file {source}"));
                let reason = "the file is new in the plugin directory".into();
                let by = Audit { by, reason };
                let swap = Swap { signature, ..Swap::new(Change::Activated, by) };
                match host.swap(bytes, &swap).await {
                    Ok(_) => host.accept(&source),
                    Err(ModuleError::Rejected(reason)) => host.reject(source, digest, reason),
                    Err(error) => return Err(unavailable(error)),
                }
            }
        }
        self.dealt = found;
        self.read = Some(stamp);
        Ok(())
    }
}

async fn modules_in(directory: &Path) -> io::Result<Vec<(PathBuf, Stamp)>> {
    let mut modules = Vec::new();
    let mut entries = fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        // Through links; what vanished or cannot be looked at is not there.
        let Ok(found) = fs::metadata(&path).await else {
            continue;
        };
        if found.is_file() {
            let signature = fs::metadata(signature_of(&path)).await.ok();
            let signature = signature.as_ref().map(stamp).transpose()?;
            modules.push((path, (stamp(&found)?, signature)));
        }
    }
    modules.sort_unstable();
    Ok(modules)
}

fn signature_of(module: &Path) -> PathBuf {
    let mut path = module.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

fn stamp(found: &Metadata) -> io::Result<(u64, SystemTime)> {
    Ok((found.len(), found.modified()?))
}

fn untouched((module, signature): Stamp) -> bool {
    let long = |(_, changed): (u64, SystemTime)| {
        SystemTime::now().duration_since(changed).is_ok_and(|since| since >= UNTOUCHED)
    };
    long(module) && signature.is_none_or(long)
}
