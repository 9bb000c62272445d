//! One guest's bad data in a full batch: the others commit, the culprit's attempt fails.

use std::time::Duration;

use uuid::Uuid;
use wasaga_domain::{attempt::Direction, outcome::Failure, ports::CallKind};

use crate::{
    script::{Answer, Scripted, ask, done, why},
    stage::{Stage, bounded, until},
};

/// Too long for an index, and too random to be compressed to fit.
fn endless() -> String {
    (0..200).map(|_| Uuid::new_v4().to_string()).collect()
}

#[tokio::test]
async fn the_culprits_attempt_fails_and_the_others_commit() {
    bounded(async {
        const SAGAS: usize = 64;
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            if call.attempt.number == 1 { Answer::Later } else { Answer::Now(done()) }
        });
        let mut host = stage.host(&lease, script);
        let mut sagas = Vec::new();
        for key in 0..SAGAS {
            let started = host.engine.start(stage.request(&key.to_string())).await.unwrap();
            sagas.push(started.saga_id);
        }
        until("all are called", async || host.script.running() == SAGAS).await;
        let culprit = "13";
        host.script.end(|call| {
            let is_culprit = call.attempt.business_key.as_deref() == Some(culprit);
            if is_culprit { ask(&endless()) } else { done() }
        });
        for _ in 0..SAGAS {
            host.end().await;
        }
        for (key, saga) in sagas.into_iter().enumerate() {
            let journal = stage.journal(saga).await;
            if key.to_string() == culprit {
                assert_eq!(journal, ["retrying a", "succeeded a", "completed"]);
            } else {
                assert_eq!(journal, ["succeeded a", "completed"]);
            }
        }
        let bad = "wasaga.journal where error ->> 'code' = 'bad-data'";
        assert_eq!(stage.count(bad).await, 1);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_answer_leaves_open_what_was_asked_for() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            Answer::Now(match (&call.kind, call.attempt.direction) {
                (CallKind::Resume { .. }, _) => ask(&endless()),
                (_, Direction::Forward) => ask(&call.attempt.number.to_string()),
                (_, Direction::Undo) => done(),
            })
        });
        for attempt in ["1", "2", "3"] {
            stage.reply(attempt).await;
        }
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        host.end().await;
        assert_eq!(host.script.called().last().unwrap(), "undo a 1");
        assert_eq!(stage.status(saga).await, "compensated");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_guests_own_conflict_fails_its_attempt_and_is_not_tried_for_ever() {
    bounded(async {
        let stage = Stage::with_notes("clash").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|_| Answer::Now(done())).with_notes(&stage.store());
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        host.end().await;
        assert_eq!(host.script.called(), ["clash 1", "clash 2", "clash 3"]);
        assert_eq!(stage.status(saga).await, "failed");
        let refused = "wasaga.journal where error ->> 'code' = 'bad-data' and step = 'clash'";
        assert_eq!(stage.count(refused).await, 3);
        assert!(stage.notes().await.is_empty());
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_done_elsewhere_stands_though_its_answer_is_refused() {
    bounded(async {
        let stage = Stage::with_notes("clash").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            Answer::Now(match call.attempt.direction {
                Direction::Forward => done(),
                Direction::Undo => Err(Failure::Permanent(why("undone"))),
            })
        });
        let script = script.with_notes(&stage.store()).reaching_out();
        let host = stage.host(&lease, script);
        host.engine.start(stage.request("1")).await.unwrap();
        until("it is undone", async || host.script.called().len() == 4).await;
        let called = ["clash 1", "clash 2", "clash 3", "undo clash 1"];
        assert_eq!(host.script.called(), called);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
