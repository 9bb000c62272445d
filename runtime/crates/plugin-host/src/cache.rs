//! Machine code on disk, so that a module is compiled once a machine.
//!
//! A file holds the SHA-256 of what follows it, then what wasmtime serialized. Its name holds the module's digest and
//! a hash of whatever the code depends on: the exact version of wasmtime and its configuration. Whatever does not
//! fit, or was damaged, is compiled again. Code from here is run: the directory must be the host's alone.
//!
//! What was not used for long is removed when a host starts: code of modules that were replaced, of other versions of
//! wasmtime, and drafts. Until then hosts of two versions, as in an upgrade or on the way back, find each its own.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use wasaga_domain::ids::Digest;
use wasmtime::{Engine, component::Component};

/// How long a file is kept that no host uses.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// A directory of compiled modules.
pub(crate) struct Cache {
    directory: PathBuf,
    /// Of the engine.
    compatibility: String,
}

impl Cache {
    /// Makes the directory where there is none, refuses one in which others can write, and tidies it up.
    pub(crate) fn open(directory: PathBuf, engine: &Engine) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let found = fs::metadata(&directory)?;
        if found.mode() & 0o022 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "others may write there, and the host runs the code it finds there: chown it to \
                 the host's user, and chmod 700 it",
            ));
        }
        remove_unused(&directory)?;
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex::encode(&hasher.0.finalize()[..8]);
        Ok(Self { directory, compatibility })
    }

    fn path(&self, module: Digest) -> PathBuf {
        self.directory.join(format!("{}-{}.cwasm", hex::encode(module.0), self.compatibility))
    }

    /// The module's code, where it lies here undamaged.
    pub(crate) fn read(&self, engine: &Engine, module: Digest) -> Option<Component> {
        let path = self.path(module);
        let file = fs::read(&path).ok()?;
        let component = file
            .split_first_chunk::<32>()
            .filter(|(seal, code)| Sha256::digest(code)[..] == seal[..])
            .and_then(|(_, code)| deserialize(engine, code));
        if component.is_none() {
            tracing::warn!(path = %path.display(), "a compiled module is damaged: it is compiled again");
        } else if let Err(error) = mark_used(&path) {
            tracing::debug!(path = %path.display(), %error, "a compiled module is not marked as used");
        }
        component
    }

    /// Keeps the module's code. A host without it only compiles again, so a failure is told and no more.
    pub(crate) fn write(&self, module: Digest, component: &Component) {
        let path = self.path(module);
        let written = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| replace(&path, &Sha256::digest(&code), &code));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "a compiled module was not kept");
        }
    }
}

fn mark_used(path: &Path) -> io::Result<()> {
    fs::File::options().write(true).open(path)?.set_modified(SystemTime::now())
}

/// Other hosts on this machine may do the same now: what has vanished meanwhile is none of ours.
fn remove_unused(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let changed = entry.metadata().and_then(|found| found.modified());
        let unused = changed.is_ok_and(|at| at.elapsed().is_ok_and(|unused| unused > KEPT));
        if unused && is_ours(&entry.file_name().to_string_lossy()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Whether a file has a name that a cache gives, also to a draft.
fn is_ours(name: &str) -> bool {
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    name.split_once('.')
        .and_then(|(stem, _)| stem.split_once('-'))
        .is_some_and(|(module, compatibility)| hex(module, 64) && hex(compatibility, 16))
}

/// Other hosts on this machine may write the same file now: each its own draft, and the last rename wins.
fn replace(path: &Path, seal: &[u8], code: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("{}-{:x}", std::process::id(), rand::random::<u32>()));
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(seal)?;
        file.write_all(code)?;
        file.sync_data()?;
        fs::rename(&draft, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&draft)))
}

#[allow(
    unsafe_code,
    reason = "wasmtime runs what it deserializes; the host wrote it, and its seal is whole"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes are those that `write` got from `Component::serialize`: they lay in a directory in which only
    // the host writes, under a name that binds them to this engine, and their SHA-256 is the one written with them.
    unsafe { Component::deserialize(engine, code) }.ok()
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest is longer"))
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
