//! Modules come, go through the database, and replace each other under running calls.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use serde_json::json;
use wasaga_domain::{
    clock::SystemClock,
    ids::Digest,
    ports::{CatalogSource as _, ModuleStore, StepCall},
};
use wasaga_plugin_host::{PluginHost, Watcher};

use crate::stage::{
    Directory, Modules, active, call, component, failed, generous, output, report, resume, run,
};

fn host(modules: &Arc<Modules>) -> Arc<PluginHost> {
    let modules: Arc<dyn ModuleStore> = modules.clone();
    PluginHost::new(generous(), Some(modules), None, Arc::new(SystemClock)).expect("a host")
}

/// Puts a file there as a rename would: whole, and older than it is.
fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("written");
    let before = SystemTime::now() - Duration::from_mins(1);
    std::fs::File::options()
        .write(true)
        .open(path)
        .expect("there")
        .set_modified(before)
        .expect("set");
}

#[tokio::test]
async fn calls_keep_the_code_they_began_with() {
    let host = crate::stage::probe(generous()).await;
    let before = Digest::of(&component("probe-rust"));
    let after = Digest::of(&component("probe-v2-rust"));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move {
                let long = json!({"steps": {"a": [{"do": "spin", "ms": 20}]}});
                report(&host, call("probe", &long)).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    host.install_local(component("probe-v2-rust")).await.expect("it loads");
    assert!(host.runs(after) && !host.runs(before));
    let said = output(run(&host, json!({})).await);
    assert_ne!(said["version"], "0.1.0", "the new code answers");
    for call in calls {
        let report = call.await.expect("joined");
        assert!(report.outcome.is_ok(), "{:?}", report.outcome);
        assert!([Some(before), Some(after)].contains(&report.digest));
    }
}

#[tokio::test]
async fn the_directory_feeds_every_host() {
    let modules = Arc::new(Modules::default());
    let (one, two) = (host(&modules), host(&modules));
    let directory = Directory::new();
    let file = directory.0.join("anything.wasm");
    let mut watcher = Watcher::new(one.clone(), Some(directory.0.clone()));

    put(&file, &component("probe-rust"));
    put(&directory.0.join("notes.txt"), b"not a module");
    watcher.look().await;
    assert_eq!(active(&one), ["probe"]);
    two.sync().await.expect("synced");
    assert_eq!(active(&two), ["probe"]);

    put(&file, &component("probe-v2-rust"));
    watcher.look().await;
    assert_eq!(active(&one), ["probe"]);
    let after = Digest::of(&component("probe-v2-rust"));
    assert!(one.runs(after));
    two.sync().await.expect("synced");
    assert!(two.runs(after));

    std::fs::remove_file(&file).expect("removed");
    watcher.look().await;
    assert!(one.runs(after), "a deleted file changes nothing");
}

#[tokio::test]
async fn a_file_is_read_when_it_is_whole() {
    let modules = Arc::new(Modules::default());
    let host = host(&modules);
    let directory = Directory::new();
    let file = directory.0.join("probe.wasm");
    let mut watcher = Watcher::new(host.clone(), Some(directory.0.clone()));
    let whole = component("probe-rust");
    std::fs::write(&file, &whole[..1000]).expect("written");
    watcher.look().await;
    std::fs::write(&file, &whole).expect("written");
    watcher.look().await;
    assert!(active(&host).is_empty() && host.rejections().is_empty(), "it may still be written");
    watcher.look().await;
    assert_eq!(active(&host), ["probe"]);
}

#[tokio::test]
async fn a_bad_file_is_listed_and_the_old_module_goes_on() {
    let modules = Arc::new(Modules::default());
    let host = host(&modules);
    let directory = Directory::new();
    let file = directory.0.join("probe.wasm");
    let mut watcher = Watcher::new(host.clone(), Some(directory.0.clone()));
    put(&file, &component("probe-rust"));
    watcher.look().await;
    put(&file, b"garbage");
    watcher.look().await;
    watcher.look().await;
    let [rejection] = &host.rejections()[..] else { panic!("{:?}", host.rejections()) };
    assert_eq!(rejection.source, file.display().to_string());
    assert!(rejection.reason.contains("this is not WebAssembly"), "{}", rejection.reason);
    output(run(&host, json!({})).await);
    put(&file, &component("probe-v2-rust"));
    watcher.look().await;
    assert!(host.rejections().is_empty());
    assert!(host.runs(Digest::of(&component("probe-v2-rust"))));
}

#[tokio::test]
async fn without_the_database_it_is_tried_again() {
    let modules = Arc::new(Modules::default());
    let host = host(&modules);
    let directory = Directory::new();
    let mut watcher = Watcher::new(host.clone(), Some(directory.0.clone()));
    put(&directory.0.join("probe.wasm"), &component("probe-rust"));
    modules.down.store(true, Ordering::Relaxed);
    watcher.look().await;
    assert!(active(&host).is_empty() && host.rejections().is_empty());
    modules.down.store(false, Ordering::Relaxed);
    watcher.look().await;
    assert_eq!(active(&host), ["probe"]);
}

#[tokio::test]
async fn a_module_that_does_not_load_here_is_listed() {
    let modules = Arc::new(Modules::default());
    let generous = host(&modules);
    generous.activate(component("probe-rust")).await.expect("active");
    let options = wasaga_plugin_host::Options::default();
    let strict: Arc<dyn ModuleStore> = modules.clone();
    let strict =
        PluginHost::new(options, Some(strict), None, Arc::new(SystemClock)).expect("a host");
    strict.sync().await.expect("synced");
    strict.sync().await.expect("synced");
    let [rejection] = &strict.rejections()[..] else { panic!("{:?}", strict.rejections()) };
    assert_eq!(rejection.source, "plugin probe of the database");
    assert!(rejection.reason.contains("which is not granted"), "{}", rejection.reason);
}

#[tokio::test]
async fn a_saga_may_call_a_module_that_is_active_no_more() {
    let modules = Arc::new(Modules::default());
    let (before, after) = (component("probe-rust"), component("probe-v2-rust"));
    let one = host(&modules);
    one.activate(before.clone()).await.expect("active");
    let catalog = one.catalog();
    let pinned = &catalog.definitions["probe-pinned"].definition;
    let (before, probe) = (Digest::of(&before), "probe".parse().expect("a name"));
    assert_eq!(pinned.pins, [(probe, before)].into(), "new sagas are pinned to what is active");
    assert!(catalog.definitions["probe"].definition.pins.is_empty());

    one.activate(after.clone()).await.expect("active");
    let pins = one.catalog().definitions["probe-pinned"].definition.pins.clone();
    assert!(pins.values().eq([&Digest::of(&after)]), "{pins:?}");
    // It has never had the old one.
    let two = host(&modules);
    two.sync().await.expect("synced");
    for host in [&one, &two] {
        for (module, version) in
            [(Some(before), "0.1.0"), (Some(Digest::of(&after)), "2.0.0"), (None, "2.0.0")]
        {
            let call = StepCall { module, ..call("probe", &json!({})) };
            let report = report(host, call).await;
            assert_eq!(report.digest, module.or(Some(Digest::of(&after))));
            assert_eq!(output(report.outcome)["version"], version);
        }
        assert!(!host.runs(before), "it is called, and not active");
    }
}

#[tokio::test]
async fn a_module_that_cannot_be_called_is_told_by_name() {
    let modules = Arc::new(Modules::default());
    let host = host(&modules);
    host.activate(component("probe-rust")).await.expect("active");
    host.activate(component("bench-rust")).await.expect("active");
    let on = |module| StepCall { module: Some(module), ..call("probe", &json!({})) };

    let other = report(&host, on(Digest::of(&component("bench-rust")))).await;
    let (class, code, message) = failed(other.outcome);
    assert_eq!((class, &*code), ("permanent", "other-plugin"), "{message}");
    assert!(message.contains("is plugin bench, and the step's worker is probe"), "{message}");

    // In `resume` it is no answer: what was sent before may have been done.
    let resumed = resume(&host, "probe", &json!({"do": "done"})).await;
    let resumed = StepCall { module: Some(Digest::of(&component("bench-rust"))), ..resumed };
    let (class, code, message) = failed(report(&host, resumed).await.outcome);
    assert_eq!((class, &*code), ("unknown", "other-plugin"), "{message}");

    modules.down.store(true, Ordering::Relaxed);
    let missing = Digest::of(b"missing");
    for why in ["connection refused", "is not in wasaga.modules"] {
        let (class, code, message) = failed(report(&host, on(missing)).await.outcome);
        assert_eq!((class, &*code), ("unavailable", "module-missing"), "{message}");
        assert!(message.contains(why) && message.contains(&missing.to_string()), "{message}");
        modules.down.store(false, Ordering::Relaxed);
    }
}
