//! What is run, and what is compiled again, of what lies in the cache's directory.

use std::os::unix::fs::{PermissionsExt as _, chown};

use wasmtime::{Config, ModuleVersionStrategy};

use super::*;

/// The smallest component.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: Digest = Digest([7; 32]);

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("wasaga-cache-{}-{:x}", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory");
        Self(path)
    }

    /// A file, and when it was used.
    fn file(&self, name: &str, days_ago: u64) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, b"code").expect("written");
        used(&path, days_ago);
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn used(path: &Path, days_ago: u64) {
    let at = SystemTime::now() - Duration::from_hours(24 * days_ago);
    fs::File::options().write(true).open(path).and_then(|file| file.set_modified(at)).expect("set");
}

/// An engine, and its cache in this directory with the module in it.
fn filled(directory: &Directory, configure: impl FnOnce(&mut Config)) -> (Engine, Cache) {
    let mut config = Config::new();
    configure(&mut config);
    let engine = Engine::new(&config).expect("an engine");
    let cache = Cache::open(directory.0.clone(), &engine).expect("a cache");
    cache.write(MODULE, &Component::from_binary(&engine, EMPTY).expect("it compiles"));
    assert!(cache.read(&engine, MODULE).is_some());
    (engine, cache)
}

fn refusal(path: &Path) -> String {
    let engine = Engine::default();
    Cache::open(path.to_owned(), &engine).err().expect("refused").to_string()
}

#[test]
fn code_of_another_version_or_configuration_is_not_run() {
    let others: [fn(&mut Config); 2] = [
        |config| {
            let version = ModuleVersionStrategy::Custom("0.0.1".into());
            config.module_version(version).expect("short enough");
        },
        |config| {
            config.epoch_interruption(true);
        },
    ];
    for other in others {
        let directory = Directory::new();
        let (engine, ours) = filled(&directory, |_| {});
        let (_, theirs) = filled(&directory, other);
        assert_ne!(ours.path(MODULE), theirs.path(MODULE), "each has a file of its own");
        // Even if it had our name.
        fs::copy(theirs.path(MODULE), ours.path(MODULE)).expect("copied");
        assert!(ours.read(&engine, MODULE).is_none());
    }
}

#[test]
fn damaged_code_is_not_run() {
    let directory = Directory::new();
    let (engine, cache) = filled(&directory, |_| {});
    let path = cache.path(MODULE);
    let whole = fs::read(&path).expect("the code");
    for at in [0, 32, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).expect("written");
        assert!(cache.read(&engine, MODULE).is_none(), "byte {at} is another");
    }
    for length in [0, 31, 32, whole.len() - 1] {
        fs::write(&path, &whole[..length]).expect("written");
        assert!(cache.read(&engine, MODULE).is_none(), "{length} bytes are left");
    }
    fs::write(&path, whole).expect("written");
    assert!(cache.read(&engine, MODULE).is_some());
}

#[test]
fn a_directory_in_which_others_write_is_refused() {
    let directory = Directory::new();
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o770)).expect("set");
    assert!(refusal(&directory.0).contains("chmod 700"));
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o700)).expect("set");
    // Only root can give a directory away; to others that of the root is another's.
    let anothers = match chown(&directory.0, Some(65_534), None) {
        Ok(()) => directory.0.as_path(),
        Err(_) => Path::new("/"),
    };
    assert!(refusal(anothers).contains("chown"));
}

#[test]
fn what_was_not_used_for_a_month_is_removed() {
    let directory = Directory::new();
    let (engine, cache) = filled(&directory, |_| {});
    let name = |version: &str| format!("{}-{version}", hex::encode(MODULE.0));
    let old = ["0123456789abcdef.cwasm", "0123456789abcdef.17-2a"]
        .map(|version| directory.file(&name(version), 31));
    let kept = [
        directory.file(&name("fedcba9876543210.cwasm"), 29),
        directory.file("notes.cwasm", 31),
        cache.path(MODULE),
    ];
    used(&kept[2], 29);
    assert!(cache.read(&engine, MODULE).is_some());
    let since = fs::metadata(&kept[2]).and_then(|found| found.modified()).expect("a time");
    assert!(since.elapsed().is_ok_and(|since| since < Duration::from_hours(1)), "it was used now");

    Cache::open(directory.0.clone(), &engine).expect("a cache");
    assert!(old.iter().all(|path| !path.exists()));
    assert!(kept.iter().all(|path| path.exists()));
}
