//! A start is idempotent by its business key.

use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinSet;
use wasaga_domain::{ids::SagaId, payload::Payload};
use wasaga_engine::driver::{EngineOptions, StartError};

use crate::{
    script::{Answer, Scripted, done},
    stage::{BLOCKED_STARTS, Stage, bounded, until},
};

#[tokio::test]
async fn one_key_starts_one_saga() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        // Within a batch, and after it.
        let starts = join_all((0..20).map(|_| host.engine.start(stage.request("1")))).await;
        let created = starts.iter().filter(|start| start.as_ref().unwrap().created).count();
        assert_eq!(created, 1);
        host.end().await;
        let again = host.engine.start(stage.request("1")).await.unwrap();
        assert!(!again.created && again.status.as_str() == "completed");
        assert_eq!(again.saga_id, SagaId::derived("test", "1"));
        assert_eq!(host.script.called(), ["a 1"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn another_input_under_the_same_key_is_a_conflict() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        let first = host.engine.start(stage.request("1")).await.unwrap();
        let mut other = stage.request("1");
        other.input = Payload::json("2");
        let refused = host.engine.start(other).await;
        let saga = first.saga_id;
        let is_conflict = matches!(refused, Err(StartError::Conflict(known, _)) if known == saga);
        assert!(is_conflict, "{refused:?}");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_start_that_does_not_fit_fails_alone() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        let mut bad = stage.request("bad");
        bad.traceparent = Some("\0".into());
        let keys: Vec<_> = (0..7).map(|n| n.to_string()).collect();
        let requests = keys.iter().map(|key| stage.request(key)).chain([bad]);
        let starts = join_all(requests.map(|request| host.engine.start(request))).await;
        assert!(starts[..7].iter().all(Result::is_ok), "{starts:?}");
        assert!(matches!(starts[7], Err(StartError::Refused(_))), "{starts:?}");
        for _ in 0..7 {
            host.end().await;
        }
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_hosts_start_the_same_keys_at_once() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let hosts: Vec<_> =
            (0..2).map(|_| stage.host(&lease, Scripted::new(|_| Answer::Now(done())))).collect();
        let keys: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let forward = keys.iter().map(|key| hosts[0].engine.start(stage.request(key)));
        let backward = keys.iter().rev().map(|key| hosts[1].engine.start(stage.request(key)));
        let (one, other) = tokio::join!(join_all(forward), join_all(backward));
        let created = one.iter().chain(&other).filter(|start| start.as_ref().unwrap().created);
        assert_eq!(created.count(), 100);
        for host in hosts {
            host.handle.stop().await;
        }
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn so_many_starts_may_wait_and_who_comes_then_is_told_so() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|_| Answer::Now(done()));
        let options = EngineOptions { batch: 1, ..EngineOptions::default() };
        let host = stage.host_on(stage.store(), lease.host(), script, options);
        let mut session = stage.session().await;
        session.run("begin; lock table wasaga.sagas in exclusive mode").await;
        let mut starts = JoinSet::new();
        let mut start = |key: u32| {
            let (engine, request) = (host.engine.clone(), stage.request(&key.to_string()));
            starts.spawn(async move { engine.start(request).await });
        };
        start(0);
        until("one is under way", async || stage.count(BLOCKED_STARTS).await == 1).await;
        // Eight may wait.
        (1..=11).for_each(&mut start);
        let full = "too many sagas are being started here: try again";
        for _ in 0..3 {
            let told = starts.join_next().await.unwrap().unwrap();
            assert_eq!(told, Err(StartError::Unavailable(full.into())));
        }
        session.run("commit").await;
        let started = starts.join_all().await;
        assert_eq!(started.iter().filter(|start| start.is_ok()).count(), 9, "{started:?}");
        assert!(host.engine.start(stage.request("later")).await.unwrap().created);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
