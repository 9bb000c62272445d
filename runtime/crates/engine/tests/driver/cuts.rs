//! Commits whose answer never came: what advanced is committed, what did not is committed again.

use std::time::Duration;

use wasaga_domain::ports::CallKind;
use wasaga_engine::driver::EngineOptions;
use wasaga_store::lease::HostLease;

use crate::{
    proxy::{Cut, Proxy},
    script::{Answer, Scripted, asks, done},
    stage::{Host, Stage, bounded, until},
};

/// The call that is its own transaction.
const CALL: &str = "wasaga.sagas_commit(";

fn host_behind(stage: &Stage, proxy: &Proxy, lease: &HostLease, script: Scripted) -> Host {
    stage.host_on(stage.store_behind(proxy), lease.host(), script, EngineOptions::default())
}

#[tokio::test]
async fn a_cut_commit_is_neither_lost_nor_repeated() {
    for cut in [Cut::BeforeCall, Cut::AfterCall] {
        bounded(async {
            let stage = Stage::new("a b c").await;
            let lease = stage.lease(Duration::from_secs(10)).await;
            let proxy = Proxy::start(&stage.db.url).await;
            let script = Scripted::new(|_| Answer::Later);
            let mut host = host_behind(&stage, &proxy, &lease, script);
            let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
            // The last one parks nothing: its lease ends with its commit.
            for step in 1..=3 {
                until("it is called", async || host.script.running() == 1).await;
                proxy.cut_next(CALL, cut);
                host.script.end(|_| done());
                until("it is cut", async || proxy.cuts() == step).await;
            }
            host.end().await;
            assert_eq!(host.script.called(), ["a 1", "b 1", "c 1"], "{cut:?}");
            let journal = stage.journal(saga).await;
            assert_eq!(journal, ["succeeded a", "succeeded b", "succeeded c", "completed"]);
            host.handle.stop().await;
            lease.stop().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_cut_wait_is_met_by_its_reply() {
    for cut in [Cut::BeforeCall, Cut::AfterCall] {
        bounded(async {
            let stage = Stage::new("a").await;
            let lease = stage.lease(Duration::from_secs(10)).await;
            let proxy = Proxy::start(&stage.db.url).await;
            let script = Scripted::new(|call| {
                let first = !matches!(call.kind, CallKind::Resume { .. });
                if first { Answer::Later } else { Answer::Now(asks(call)) }
            });
            let mut host = host_behind(&stage, &proxy, &lease, script);
            let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
            until("it is called", async || host.script.running() == 1).await;
            proxy.cut_next(CALL, cut);
            host.script.end(asks);
            until("it is cut", async || proxy.cuts() == 1).await;
            stage.reply("1/a").await;
            host.end().await;
            assert_eq!(host.script.called(), ["a 1", "resume a 1"]);
            assert_eq!(stage.journal(saga).await, ["waiting a", "succeeded a", "completed"]);
            assert_eq!(stage.count("wasaga.task_out").await, 1, "the command went out once");
            host.handle.stop().await;
            lease.stop().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_cut_batch_settles_each_saga() {
    bounded(async {
        const SAGAS: usize = 50;
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let proxy = Proxy::start(&stage.db.url).await;
        let mut host = host_behind(&stage, &proxy, &lease, Scripted::new(|_| Answer::Later));
        for key in 0..SAGAS {
            host.engine.start(stage.request(&key.to_string())).await.unwrap();
        }
        for (step, cut) in [Cut::AfterCall, Cut::BeforeCall].into_iter().enumerate() {
            until("all are called", async || host.script.running() == SAGAS).await;
            proxy.cut_next(CALL, cut);
            host.script.end(|_| done());
            until("it is cut", async || proxy.cuts() == step + 1).await;
        }
        for _ in 0..SAGAS {
            host.end().await;
        }
        assert_eq!(host.script.called().len(), 2 * SAGAS);
        assert_eq!(stage.count("wasaga.journal").await, 3 * SAGAS as i64);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
