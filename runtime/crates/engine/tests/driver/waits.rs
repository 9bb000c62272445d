//! Waits outlive whatever happens meanwhile that does not end them.

use std::time::Duration;

use wasaga_domain::{
    attempt::Direction,
    mail::{Audit, Verb},
};

use crate::{
    script::{Answer, Scripted, ask, asks, correlation, done, permanent},
    stage::{Stage, bounded, until},
};

#[tokio::test]
async fn a_wait_of_an_undo_outlives_a_cancel() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            Answer::Now(match (&*call.attempt.step, call.attempt.direction) {
                ("a", Direction::Undo) => asks(call),
                ("b", _) => permanent(),
                _ => done(),
            })
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        let waiting = "wasaga.waits where saga_id is not null";
        until("the undo waits", async || stage.count(waiting).await == 1).await;
        host.engine.ask(saga, &Verb::Cancel, &Audit::because("too late")).await.unwrap();
        until("the cancel is journalled", async || {
            stage.journal(saga).await.last().unwrap() == "cancelled"
                && stage.count("wasaga.sagas where host_id is null").await == 1
        })
        .await;
        assert_eq!(stage.count(waiting).await, 1, "it still waits");
        stage.reply("1/a/undo").await;
        host.sagas.notify_one();
        host.end().await;
        assert_eq!(stage.status(saga).await, "compensated");
        assert_eq!(host.script.called().last().unwrap(), "resume undo a 1");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_wait_outlives_a_claim_that_comes_too_soon() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|call| Answer::Now(asks(call))));
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        let mut session = stage.session().await;
        // As a host does whose clock is ahead of another's.
        session.run("update wasaga.timers set due_at = now()").await;
        until("it was claimed and parked again", async || {
            stage.count("wasaga.sagas where epoch > 1 and host_id is null").await == 1
        })
        .await;
        assert_eq!(stage.count("wasaga.waits where saga_id is not null").await, 1);
        stage.reply("1/a").await;
        host.sagas.notify_one();
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "resume a 1"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_keeps_killing_its_host_needs_attention() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| Answer::Now(ask(&correlation(call))));
        let host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        host.handle.stop().await;
        stage.reply("1/a").await;
        // Two hosts died resuming it, and a third holds it and is gone.
        let mut session = stage.session().await;
        session
            .run("update wasaga.sagas set ready_at = null, host_id = -1, interruptions = 2")
            .await;
        let host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        stage.until_status(saga, "needs_attention").await;
        assert!(host.script.called().is_empty(), "{:?}", host.script.called());
        host.engine.ask(saga, &Verb::Resume, &Audit::because("mended")).await.unwrap();
        stage.until_status(saga, "completed").await;
        assert_eq!(host.script.called(), ["resume a 4"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
