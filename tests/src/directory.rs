//! A directory of a test's own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
};

use uuid::Uuid;

/// Removed with this value, unless the test fails: then its logs may be wanted.
pub struct Directory(PathBuf);

impl Directory {
    pub fn create() -> Self {
        let path = env::temp_dir().join(format!("wasaga-test-{}", Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the failed test's files are in {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
