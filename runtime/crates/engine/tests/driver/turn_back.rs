//! Sagas that turn back: failures, cancels, undos that give up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use wasaga_domain::{
    attempt::Direction,
    mail::{Audit, Verb},
};
use wasaga_engine::driver::VerbError;

use crate::{
    script::{Answer, Scripted, asks, done, permanent, retryable},
    stage::{Stage, bounded, until},
};

#[tokio::test]
async fn a_failed_step_undoes_those_before_it() {
    bounded(async {
        let stage = Stage::new("a b c").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            Answer::Now(if &*call.attempt.step == "c" { permanent() } else { done() })
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        host.end().await;
        let journal = stage.journal(saga).await;
        assert_eq!(
            journal,
            [
                "succeeded a",
                "succeeded b",
                "failed c",
                "undoing",
                "undo succeeded b",
                "undo succeeded a",
                "compensated"
            ]
        );
        assert_eq!(stage.count("wasaga.ledger where undone").await, 2);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn cancel_while_waiting() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            let waits = &*call.attempt.step == "b" && call.attempt.direction == Direction::Forward;
            Answer::Now(if waits { asks(call) } else { done() })
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        host.engine.ask(saga, &Verb::Cancel, &Audit::because("changed my mind")).await.unwrap();
        host.end().await;
        assert_eq!(host.script.called()[2..], ["undo b 1", "undo a 1"]);
        assert_eq!(stage.status(saga).await, "compensated");
        assert_eq!(stage.count("wasaga.waits").await + stage.count("wasaga.timers").await, 0);
        let again = host.engine.ask(saga, &Verb::Cancel, &Audit::because("again")).await;
        assert!(matches!(again, Err(VerbError::Final(..))), "{again:?}");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn cancel_while_a_call_runs() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| match call.attempt.direction {
            Direction::Forward => Answer::Later,
            Direction::Undo => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("the call runs", async || host.script.running() == 1).await;
        host.engine.ask(saga, &Verb::Cancel, &Audit::because("changed my mind")).await.unwrap();
        until("it is journalled", async || stage.journal(saga).await == ["cancelled"]).await;
        assert_eq!(host.script.called(), ["a 1"], "the call is waited for");
        host.script.end(|_| done());
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "undo a 1"]);
        assert_eq!(stage.status(saga).await, "compensated");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn resume_of_an_exhausted_undo() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mended = Arc::new(AtomicBool::new(false));
        let script = Scripted::new({
            let mended = Arc::clone(&mended);
            move |call| {
                Answer::Now(match (&*call.attempt.step, call.attempt.direction) {
                    (_, Direction::Undo) if !mended.load(Ordering::Relaxed) => retryable(),
                    ("b", Direction::Forward) => permanent(),
                    _ => done(),
                })
            }
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "needs_attention").await;
        assert_eq!(host.script.called()[2..], ["undo a 1", "undo a 2", "undo a 3"]);
        mended.store(true, Ordering::Relaxed);
        host.engine.ask(saga, &Verb::Resume, &Audit::because("mended")).await.unwrap();
        host.end().await;
        assert_eq!(host.script.called().last().unwrap(), "undo a 4");
        assert_eq!(stage.status(saga).await, "compensated");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
