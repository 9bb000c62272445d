//! What is not taken, and with which words.

use std::collections::BTreeMap;

use wasaga_plugin_host::{Grant, Grants, Limits, Options};

use crate::stage::{Directory, active, component, generous, host, rejection};

#[tokio::test]
async fn what_is_no_plugin_is_refused_by_its_kind() {
    let host = host(generous());
    let cases = [
        (b"garbage".to_vec(), "this is not WebAssembly (7 bytes)"),
        (b"\0asm\x01\0\0\0".to_vec(), "this is a core WebAssembly module, not a component"),
        (b"\0asm\x0d\0\x01\0garbage".to_vec(), "component does not compile"),
        (component("foreign-rust"), "does not export wasaga:plugin/plugin@0.1.0"),
        (component("trapping-rust"), "it will not say what it is"),
    ];
    for (bytes, expected) in cases {
        let reason = rejection(host.install_local(bytes).await);
        assert!(reason.contains(expected), "{reason}");
    }
    assert!(active(&host).is_empty());
}

#[tokio::test]
async fn more_for_debuggers_than_a_trap_may_read_is_refused() {
    let limits = Limits { debug_bytes: 1000, ..Limits::default() };
    let host = host(Options { limits, ..generous() });
    let reason = rejection(host.install_local(component("probe-rust")).await);
    assert!(reason.contains("limit 1000 bytes (plugins.guest_limits.debug_bytes)"), "{reason}");
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let grant = |grant: Grant| {
        let plugins = BTreeMap::from([("probe".parse().expect("a name"), grant)]);
        host(Options { grants: Grants { grant_all: false, plugins }, ..Options::default() })
    };
    let config = BTreeMap::from([("greeting".to_owned(), "hello".to_owned())]);
    let topics = vec!["probe.*".to_owned()];
    let cases = [
        (
            Grant::default(),
            "plugin probe asks for topic probe.*, which is not granted: add [plugins.probe] \
             grant.topics = [\"probe.*\"]",
        ),
        (
            Grant { topics: topics.clone(), ..Grant::default() },
            "plugin probe asks for configuration key greeting, which is not granted: add \
             [plugins.probe] grant.config.greeting = \"…\"",
        ),
    ];
    for (granted, expected) in cases {
        let reason = rejection(grant(granted).install_local(component("probe-rust")).await);
        assert_eq!(reason, expected);
    }
    let enough = grant(Grant { topics, config, ..Grant::default() });
    enough.install_local(component("probe-rust")).await.expect("it loads");

    let reason =
        rejection(host(Options::default()).install_local(component("probe-sql-rust")).await);
    assert_eq!(
        reason,
        "plugin probe-sql asks for sql, which is not granted: add [plugins.probe-sql] grant.sql = true"
    );
    let reason = rejection(host(generous()).install_local(component("probe-sql-rust")).await);
    assert!(reason.contains("this host has no database for guests"), "{reason}");
}

#[tokio::test]
async fn a_damaged_compiled_module_is_compiled_again() {
    let directory = Directory::new();
    let cached = directory.0.join("compiled");
    let options = || Options { cache_dir: Some(cached.clone()), ..generous() };
    let load = async || {
        let host = host(options());
        host.install_local(component("bench-rust")).await.expect("it loads");
    };
    load().await;
    let files = || {
        let entries = std::fs::read_dir(&cached).expect("the directory");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    let whole = std::fs::read(file).expect("the compiled module");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for bytes in [damaged, whole[..100].to_vec(), Vec::new()] {
        std::fs::write(file, &bytes).expect("written");
        load().await;
        assert_ne!(std::fs::read(file).expect("written again"), bytes);
    }
    assert_eq!(files().len(), 1, "no drafts are left");
}

#[tokio::test]
async fn compiled_modules_lie_where_only_the_host_writes() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o777)).expect("set");
    let options = Options { cache_dir: Some(directory.0.clone()), ..generous() };
    let clock = std::sync::Arc::new(wasaga_domain::clock::SystemClock);
    let refused = wasaga_plugin_host::PluginHost::new(options, None, None, clock);
    let error = refused.err().expect("refused").to_string();
    assert!(error.contains("chmod 700"), "{error}");
}
