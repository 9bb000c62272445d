//! Commits on a guest's own connection whose answer never came: the guest's rows and the journal are there once, and
//! its step is called again exactly when nothing was committed.

use std::time::Duration;

use wasaga_domain::{
    mail::{Audit, Verb},
    ports::CallKind,
};
use wasaga_engine::driver::EngineOptions;
use wasaga_store::lease::HostLease;

use crate::{
    proxy::{Cut, Proxy},
    script::{Answer, Scripted, asks, done},
    stage::{Host, Stage, bounded, until},
};

/// The call that the host makes in the guest's transaction.
const CALL: &str = "wasaga_guest.sagas_commit(";
const CUTS: [Cut; 4] = [Cut::BeforeCall, Cut::AfterCall, Cut::BeforeCommit, Cut::AfterCommit];

/// A host whose steps write, and end when the test says so, save resumes.
fn host_behind(stage: &Stage, proxy: &Proxy, lease: &HostLease) -> Host {
    let store = stage.store_behind(proxy);
    let script = Scripted::new(|call| {
        let resumed = matches!(call.kind, CallKind::Resume { .. });
        if resumed { Answer::Now(done()) } else { Answer::Later }
    });
    let script = script.with_notes(&store);
    stage.host_on(store, lease.host(), script, EngineOptions::default())
}

fn repeats(cut: Cut) -> bool {
    cut != Cut::AfterCommit
}

#[tokio::test]
async fn a_guests_cut_commit_is_neither_lost_nor_repeated() {
    for cut in CUTS {
        bounded(async {
            let stage = Stage::with_notes("a b c").await;
            let lease = stage.lease(Duration::from_secs(10)).await;
            let proxy = Proxy::start(&stage.db.url).await;
            let mut host = host_behind(&stage, &proxy, &lease);
            let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
            for step in 1..=3 {
                until("it is called", async || host.script.running() == 1).await;
                proxy.cut_next(CALL, cut);
                host.script.end(|_| done());
                until("it is cut", async || proxy.cuts() == step).await;
                if repeats(cut) {
                    until("it is called again", async || host.script.running() == 1).await;
                    host.script.end(|_| done());
                }
            }
            host.end().await;
            let times = if repeats(cut) { 2 } else { 1 };
            let called: Vec<_> =
                ["a 1", "b 1", "c 1"].into_iter().flat_map(|call| vec![call; times]).collect();
            assert_eq!(host.script.called(), called, "{cut:?}");
            assert_eq!(stage.notes().await, ["a 1", "b 1", "c 1"], "{cut:?}");
            let journal = stage.journal(saga).await;
            assert_eq!(journal, ["succeeded a", "succeeded b", "succeeded c", "completed"]);
            host.handle.stop().await;
            lease.stop().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_guests_cut_wait_asks_once() {
    for cut in CUTS {
        bounded(async {
            let stage = Stage::with_notes("a").await;
            let lease = stage.lease(Duration::from_secs(10)).await;
            let proxy = Proxy::start(&stage.db.url).await;
            let mut host = host_behind(&stage, &proxy, &lease);
            let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
            until("it is called", async || host.script.running() == 1).await;
            proxy.cut_next(CALL, cut);
            host.script.end(asks);
            until("it is cut", async || proxy.cuts() == 1).await;
            if repeats(cut) {
                until("it is called again", async || host.script.running() == 1).await;
                host.script.end(asks);
            }
            stage.reply("1/a").await;
            host.end().await;
            let called: &[_] =
                if repeats(cut) { &["a 1", "a 1", "resume a 1"] } else { &["a 1", "resume a 1"] };
            assert_eq!(host.script.called(), called, "{cut:?}");
            assert_eq!(stage.journal(saga).await, ["waiting a", "succeeded a", "completed"]);
            assert_eq!(stage.notes().await, ["a 1", "resume a 1"], "{cut:?}");
            assert_eq!(stage.count("wasaga.task_out").await, 1, "the command went out once");
            host.handle.stop().await;
            lease.stop().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_saga_that_was_to_stop_stops_without_the_commit_that_was_cut() {
    bounded(async {
        let stage = Stage::with_notes("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let proxy = Proxy::start(&stage.db.url).await;
        let mut host = host_behind(&stage, &proxy, &lease);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("it is called", async || host.script.running() == 1).await;
        host.engine.ask(saga, &Verb::Cancel, &Audit::because("changed my mind")).await.unwrap();
        until("it is to stop", async || stage.journal(saga).await == ["cancelled"]).await;
        proxy.cut_next(CALL, Cut::BeforeCall);
        host.script.end(|_| done());
        host.end().await;
        assert_eq!(stage.journal(saga).await, ["cancelled", "undoing", "saga_failed"]);
        assert!(stage.notes().await.is_empty(), "the guest's rows went with its commit");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
