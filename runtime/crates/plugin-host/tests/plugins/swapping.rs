//! Modules come, go through the database, and replace each other under running calls.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use wasaga_domain::{
    attempt::Direction,
    clock::SystemClock,
    ids::{Digest, SagaId},
    mail::Audit,
    outcome::Arrival,
    ports::{CallKind, CatalogSource as _, ModuleStore, StepCall},
    swap::{CanaryPlan, Change, Counts, Part, Swap},
};
use wasaga_plugin_host::{PluginHost, Watcher};

use crate::stage::{
    Directory, Modules, active, call, component, does, failed, generous, output, rejection, report,
    resume, run,
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

/// What a host does that finds this module in its directory when it starts.
async fn restarted(modules: &Arc<Modules>, directory: &Directory) -> (Arc<PluginHost>, Watcher) {
    let host = host(modules);
    let mut watcher = Watcher::new(host.clone(), Some(directory.0.clone()));
    watcher.look().await;
    watcher.look().await;
    (host, watcher)
}

#[tokio::test]
async fn a_file_does_not_take_back_a_roll_back() {
    let modules = Arc::new(Modules::default());
    let (before, after) = (component("probe-rust"), component("probe-v2-rust"));
    let (old, new) = (Digest::of(&before), Digest::of(&after));
    let (one_dir, two_dir) = (Directory::new(), Directory::new());
    let (file, other) = (one_dir.0.join("probe.wasm"), two_dir.0.join("probe.wasm"));
    put(&file, &before);
    let (one, mut watcher) = restarted(&modules, &one_dir).await;
    assert!(one.runs(old), "what was never active is activated");
    put(&file, &after);
    watcher.look().await;
    assert!(one.runs(new), "a file that changes is a new word");
    let by = modules.history.lock().expect("not poisoned")[1].2.clone();
    assert_eq!(by, Some(format!("file {}", file.display())));

    let probe = "probe".parse().expect("a name");
    one.roll_back(&probe, Audit::because("it is bad"), false).await.expect("rolled back");
    assert!(one.runs(old));
    watcher.look().await;
    assert!(one.runs(old), "the file has not changed");

    // Another host has the same file, and the first one starts again.
    put(&other, &after);
    for directory in [&one_dir, &two_dir] {
        let (host, mut watcher) = restarted(&modules, directory).await;
        watcher.look().await;
        assert!(host.runs(old), "the roll-back was the later word");
        let [held] = &host.rejections()[..] else { panic!("{:?}", host.rejections()) };
        assert!(held.reason.contains("and is not the active one now"), "{}", held.reason);
    }
    assert_eq!(modules.history.lock().expect("not poisoned").len(), 3);

    let (two, mut watcher) = restarted(&modules, &two_dir).await;
    put(&other, &before);
    watcher.look().await;
    put(&other, &after);
    watcher.look().await;
    assert!(two.runs(new), "the operator put it there again");
    assert!(two.rejections().is_empty(), "it runs");
}

#[tokio::test]
async fn a_module_of_the_database_becomes_active_without_its_bytes() {
    let modules = Arc::new(Modules::default());
    let host = host(&modules);
    let (before, after) = (component("probe-rust"), component("probe-v2-rust"));
    let (old, new) = (Digest::of(&before), Digest::of(&after));
    let probe = "probe".parse().expect("a name");
    host.activate(before).await.expect("active");
    let pushed = Swap::new(Change::Pushed, Audit::because("for later"));
    let swapped = host.swap(after, &pushed).await.expect("kept");
    assert_eq!((swapped.digest, swapped.previous), (new, Some(old)));
    assert!(host.runs(old) && !host.runs(new), "nobody calls it yet");
    let activated = Swap::new(Change::Activated, Audit::because("now"));
    host.swap_kept(&probe, new, &activated).await.expect("active");
    assert!(host.runs(new));
    let other = "bench".parse().expect("a name");
    let wrong = host.swap_kept(&other, old, &activated).await.expect_err("it is another's");
    assert!(wrong.to_string().contains("is plugin probe"), "{wrong}");
}

#[tokio::test]
async fn a_rejection_names_the_sagas_that_need_the_plugin() {
    let modules = Arc::new(Modules::default());
    host(&modules).activate(component("probe-rust")).await.expect("active");
    let options = wasaga_plugin_host::Options::default();
    let store: Arc<dyn ModuleStore> = modules.clone();
    let strict =
        PluginHost::new(options, Some(store), None, Arc::new(SystemClock)).expect("a host");
    let why = rejection(strict.activate(component("probe-v2-rust")).await);
    assert!(why.contains("which is not granted"), "{why}");
    assert!(why.ends_with("; 1 saga in flight (s) need this plugin"), "{why}");
}

/// Calls of as many sagas; those that the canary took, by its version.
async fn taken(host: &Arc<PluginHost>, sagas: usize) -> Vec<usize> {
    let mut taken = Vec::new();
    for saga in 0..sagas {
        let mut call = call("probe", &json!({}));
        call.attempt.saga_id = SagaId::derived("probe", &saga.to_string());
        let report = report(host, call).await;
        if output(report.outcome)["version"] == "2.0.0" {
            taken.push(saga);
        }
    }
    taken
}

#[tokio::test]
async fn a_canary_takes_its_part_of_the_sagas_on_every_host() {
    let modules = Arc::new(Modules::default());
    let (one, two) = (host(&modules), host(&modules));
    one.activate(component("probe-rust")).await.expect("active");
    let canary = |percent| {
        Swap::new(Change::CanaryStarted(CanaryPlan::new(percent)), Audit::because("carefully"))
    };
    let (after, probe) = (component("probe-v2-rust"), "probe".parse().expect("a name"));
    let new = Digest::of(&after);
    one.swap(after, &canary(10)).await.expect("started");
    two.sync().await.expect("synced");
    let few = taken(&one, 400).await;
    assert!((20..=60).contains(&few.len()), "{} of 400", few.len());
    assert_eq!(few, taken(&two, 400).await, "the same sagas on every host");
    assert_eq!(few, taken(&one, 400).await, "and each time");
    one.swap_kept(&probe, new, &canary(50)).await.expect("started");
    let more = taken(&one, 400).await;
    assert!((160..=240).contains(&more.len()), "{} of 400", more.len());
    assert!(few.iter().all(|saga| more.contains(saga)), "those of 10 % are among those of 50 %");
    assert!(one.runs(Digest::of(&component("probe-rust"))) && !one.runs(new));

    one.promote(&probe, Audit::because("it is good"), false).await.expect("promoted");
    assert_eq!(taken(&one, 20).await.len(), 20);
    assert_eq!(taken(&two, 400).await, few, "it has not looked yet");
    two.sync().await.expect("synced");
    assert_eq!(taken(&two, 20).await.len(), 20);
}

#[tokio::test]
async fn a_canary_that_fails_is_rolled_back_on_every_host() {
    let modules = Arc::new(Modules::default());
    let (one, two) = (host(&modules), host(&modules));
    one.activate(component("probe-rust")).await.expect("active");
    let canary = Swap::new(Change::CanaryStarted(CanaryPlan::new(50)), Audit::because("carefully"));
    one.swap(component("probe-v2-rust"), &canary).await.expect("started");
    two.sync().await.expect("synced");
    modules.bearable.store(3, Ordering::Relaxed);

    let all = 40;
    let own = taken(&one, all).await.len() as u64;
    one.tell_counts().await;
    let told = modules.counts.lock().expect("not poisoned").pop().expect("counted");
    assert_eq!(told.canary, Counts { calls: own, failures: 0 });
    assert_eq!(told.active, Counts { calls: all as u64 - own, failures: 0 });
    one.tell_counts().await;
    assert!(modules.counts.lock().expect("not poisoned").is_empty(), "each call counts once");

    let on_canary = |saga: usize, action: Value| {
        let mut call = call("probe", &does(action));
        call.attempt.saga_id = SagaId::derived("probe", &saga.to_string());
        call
    };
    let mine = taken(&one, all).await;
    one.tell_counts().await;
    modules.counts.lock().expect("not poisoned").clear();
    // An outcome of the business is none of the code's failures.
    report(&one, on_canary(mine[0], json!({"do": "permanent"}))).await;
    report(&one, on_canary(mine[0], json!({"do": "retryable"}))).await;
    report(&one, on_canary(mine[0], json!({"do": "unknown"}))).await;
    report(&one, on_canary(mine[0], json!({"do": "trap"}))).await;
    // Without the database nothing that was counted is lost.
    modules.down.store(true, Ordering::Relaxed);
    one.tell_counts().await;
    modules.down.store(false, Ordering::Relaxed);
    one.tell_counts().await;
    let told = modules.counts.lock().expect("not poisoned").last().copied().expect("counted");
    assert_eq!(told.canary, Counts { calls: 4, failures: 3 });
    assert!(!taken(&two, all).await.is_empty(), "three are bearable");

    report(&two, on_canary(mine[1], json!({"do": "trap"}))).await;
    two.tell_counts().await;
    assert!(taken(&two, all).await.is_empty(), "it is rolled back");
    one.sync().await.expect("synced");
    assert!(taken(&one, all).await.is_empty(), "everywhere");
}

#[tokio::test]
async fn a_patched_module_takes_over_undo_only() {
    let modules = Arc::new(Modules::default());
    let host = host(&modules);
    host.activate(component("probe-rust")).await.expect("active");
    let undo = Swap::new(Change::UndoTakenOver, Audit::because("its undo is mended"));
    host.swap(component("probe-v2-rust"), &undo).await.expect("taken over");
    let version = async |direction, kind: CallKind| {
        let mut call = StepCall { kind, ..call("probe", &json!({})) };
        call.attempt.direction = direction;
        report(&host, call).await.digest.expect("code ran")
    };
    let (old, new) =
        (Digest::of(&component("probe-rust")), Digest::of(&component("probe-v2-rust")));
    let execute = || CallKind::Execute { guarded: false };
    let resume = || CallKind::Resume { memo: None, undo: None, arrival: Arrival::TimedOut };
    let compensate = || CallKind::Compensate { undo: None };
    assert_eq!(version(Direction::Forward, execute()).await, old);
    assert_eq!(version(Direction::Forward, resume()).await, old);
    assert_eq!(version(Direction::Undo, compensate()).await, new);
    assert_eq!(version(Direction::Undo, resume()).await, new);
    // A saga that keeps its module, and a step whose module an operator chose.
    let mut pinned =
        StepCall { module: Some(old), kind: compensate(), ..call("probe", &json!({})) };
    pinned.attempt.direction = Direction::Undo;
    assert_eq!(report(&host, pinned).await.digest, Some(old));

    let probe = "probe".parse().expect("a name");
    host.end(&probe, Part::Undo, &Audit::because("over")).await.expect("ended");
    assert_eq!(version(Direction::Undo, compensate()).await, old);
    let none = host.end(&probe, Part::Undo, &Audit::because("over")).await.expect_err("none");
    assert!(none.to_string().contains("no module that undoes"), "{none}");
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
