//! Sagas that go forward: the happy path, and attempts that are repeated.

use std::time::Duration;

use crate::{
    script::{Answer, Scripted, ask, asks, done, retryable},
    stage::{Stage, bounded, definition},
};

#[tokio::test]
async fn happy_path() {
    bounded(async {
        let stage = Stage::new("a b c").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        let started = host.engine.start(stage.request("1")).await.unwrap();
        assert!(started.created);
        assert_eq!(host.end().await, started.saga_id);
        assert_eq!(stage.status(started.saga_id).await, "completed");
        let journal = stage.journal(started.saga_id).await;
        assert_eq!(journal, ["succeeded a", "succeeded b", "succeeded c", "completed"]);
        assert_eq!(host.script.called(), ["a 1", "b 1", "c 1"]);
        assert_eq!(stage.count("wasaga.sagas where host_id is not null").await, 0);
        let digests =
            stage.count("wasaga.ledger where digest = decode(repeat('07', 32), 'hex')").await;
        assert_eq!(digests, 3);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_waits_for_its_back_off() {
    bounded(async {
        let delay = Duration::from_millis(120);
        let stage = Stage::with(definition("a", delay)).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            Answer::Now(if call.attempt.number < 3 { retryable() } else { done() })
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "a 2", "a 3"]);
        let journal = stage.journal(saga).await;
        assert_eq!(journal, ["retrying a", "retrying a", "succeeded a", "completed"]);
        for pair in host.script.instants().windows(2) {
            // Milliseconds are cut off on the way.
            let waited = pair[1] - pair[0] + Duration::from_millis(2);
            assert!(waited >= delay, "{waited:?}");
        }
        assert_eq!(stage.count("wasaga.timers").await, 0);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_reply_resumes_the_wait() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|call| Answer::Now(asks(call))));
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        stage.reply("1/a").await;
        host.sagas.notify_one();
        stage.until_status(saga, "waiting").await;
        // The second reply may come before the second wait: it is kept.
        stage.reply("1/b").await;
        host.sagas.notify_one();
        host.end().await;
        let journal = stage.journal(saga).await;
        assert_eq!(journal, ["waiting a", "succeeded a", "waiting b", "succeeded b", "completed"]);
        let keys = stage.count("(select distinct idempotency_key from wasaga.task_out) keys").await;
        assert_eq!(keys, 2);
        assert_eq!(stage.count("wasaga.waits").await + stage.count("wasaga.timers").await, 0);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_reply_that_comes_before_the_wait_is_committed_meets_it() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        stage.reply("early").await;
        let script = Scripted::new(|call| {
            Answer::Now(if call.attempt.number == 1 { asks_early(call) } else { done() })
        });
        let mut host = stage.host(&lease, script);
        host.engine.start(stage.request("1")).await.unwrap();
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "resume a 1"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

fn asks_early(
    call: &wasaga_domain::ports::StepCall,
) -> Result<wasaga_domain::outcome::StepOutcome, wasaga_domain::outcome::Failure> {
    match call.kind {
        wasaga_domain::ports::CallKind::Resume { .. } => done(),
        _ => ask("early"),
    }
}
