//! Sagas that cannot go on yet: their plugin or their definition is not here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use wasaga_domain::{outcome::Failure, ports::CallKind};
use wasaga_engine::driver::EngineOptions;

use crate::{
    script::{Answer, Scripted, ask, done, why},
    stage::{Stage, bounded, until},
};

#[tokio::test]
async fn a_missing_plugin_counts_no_attempt_and_keeps_the_answer() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        // Each export is missing the first time it is called.
        let calls = Arc::new(AtomicUsize::new(0));
        let script = Scripted::new(move |call| {
            let missing = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            Answer::Now(match call.kind {
                _ if missing => Err(Failure::Unavailable(why("no-plugin"))),
                CallKind::Resume { .. } => done(),
                _ => ask("a"),
            })
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.reply("a").await;
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "a 1", "resume a 1", "resume a 1"]);
        assert_eq!(stage.journal(saga).await, ["waiting a", "succeeded a", "completed"]);
        assert_eq!(stage.count("wasaga.timers").await, 0);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_unknown_definition_is_put_off_and_leaves_no_timer() {
    bounded(async {
        let mut stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let known = Arc::clone(&stage.definition);
        let hasty = EngineOptions { grace: Duration::ZERO, ..EngineOptions::default() };
        let script = Scripted::new(|_| Answer::Later);
        let host = stage.host_on(stage.store(), lease.host(), script, hasty);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("it is called", async || host.script.running() == 1).await;
        // Another host takes it over, and knows nothing of its definition.
        let mut other = (*known).clone();
        other.name = "other".into();
        stage.definition = Arc::new(other);
        host.handle.stop().await;
        let ignorant = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        until("it is put off", async || stage.count("wasaga.timers").await == 1).await;
        ignorant.handle.stop().await;
        stage.definition = known;
        stage.session().await.run("update wasaga.timers set due_at = now()").await;
        let mut host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        assert_eq!(host.end().await, saga);
        assert_eq!(stage.count("wasaga.timers").await, 0, "it would be claimed after its end");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
