//! What a project was built from: a hash of its files, of its language's SDK, of the contract and of the tools.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use wasaga_guest_build::Project;

const FILE: &str = "stamp";
/// Directories that hold what others can make again.
const MADE: [&str; 4] = ["node_modules", "__pycache__", "target", "template"];

pub(super) fn of(root: &Path, project: &Project) -> Result<String> {
    let builders = root.join("runtime/crates/guest-build/src");
    let mut hasher = Sha256::new();
    for directory in [&project.directory, &project.sdk, &project.wit, &builders] {
        let mut files = Vec::new();
        collect(directory, &mut files)?;
        files.sort();
        for path in files {
            let content =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            hasher.update(path.strip_prefix(root).unwrap_or(&path).as_os_str().as_encoded_bytes());
            hasher.update((content.len() as u64).to_le_bytes());
            hasher.update(content);
        }
    }
    Ok(format!("{:x}", hasher.finalize()))
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() && !name.starts_with('.') && !MADE.contains(&&*name) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

/// What it was when the component was built.
pub(super) fn read(work_dir: &Path) -> Option<String> {
    fs::read_to_string(work_dir.join(FILE)).ok()
}

pub(super) fn write(work_dir: &Path, stamp: &str) -> Result<()> {
    let path = work_dir.join(FILE);
    fs::write(&path, stamp).with_context(|| format!("cannot write {}", path.display()))
}
