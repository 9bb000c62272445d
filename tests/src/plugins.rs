//! The plugin directory of a test, and the plugins that `cargo xtask guests` built.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::environment;

/// The order saga and all that takes part in it, in five languages.
pub const ORDER_PLUGINS: [&str; 6] = [
    "order-saga-rust",
    "inventory-rust",
    "tax-c",
    "payment-python",
    "shipping-javascript",
    "notification-go",
];

/// The bytes of a built plugin, by its package's or project's name.
pub fn bytes_of(package: &str) -> Vec<u8> {
    let path = environment::plugins().join(format!("{package}.wasm"));
    fs::read(&path).unwrap_or_else(|error| {
        if let Ok(reason) = fs::read_to_string(path.with_extension("missing")) {
            panic!("{package} is not built: {reason}");
        }
        panic!("{}: {error}: build the plugins by `cargo xtask guests`", path.display())
    })
}

/// The directory that the hosts of a world watch.
pub struct PluginDirectory(PathBuf);

impl PluginDirectory {
    pub(crate) fn create(path: PathBuf, packages: &[&str]) -> Self {
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let directory = Self(path);
        for package in packages {
            directory.put(package, &bytes_of(package));
        }
        directory
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts `NAME.wasm` there at once, by a rename, as a deployment should; replaces one of that name.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let whole = self.0.join(format!("{name}.new"));
        fs::write(&whole, bytes).expect("the plugin directory can be written");
        // As one that has long been there: the host need not wait whether more is written to it.
        let long_ago = SystemTime::now() - Duration::from_secs(10);
        let file = File::options().append(true).open(&whole).expect("it was just written");
        file.set_modified(long_ago).expect("it is ours");
        fs::rename(&whole, self.file(name)).expect("the plugin directory can be written");
    }

    /// Writes `NAME.wasm` in place, in two parts, as a copy over a slow line does.
    pub fn copy_slowly(&self, name: &str, bytes: &[u8]) {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        fs::write(self.file(name), first).expect("the plugin directory can be written");
        fs::write(self.file(name), [first, second].concat()).expect("it was just written");
    }

    /// Deletes `NAME.wasm`.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).expect("it is there");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.wasm"))
    }
}
