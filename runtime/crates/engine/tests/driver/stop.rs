//! Stop: what runs is finished, the rest is released.

use std::time::Duration;

use wasaga_engine::driver::StartError;

use crate::{
    script::{Answer, Scripted, done},
    stage::{Stage, bounded, until},
};

#[tokio::test]
async fn a_stop_finishes_the_call_and_releases_the_saga() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let host = stage.host(&lease, Scripted::new(|_| Answer::Later));
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("the call runs", async || host.script.running() == 1).await;
        let stopping = tokio::spawn(host.handle.stop());
        until("no start is taken", async || {
            let refused = host.engine.start(stage.request("2")).await;
            matches!(refused, Err(StartError::Unavailable(_)))
        })
        .await;
        assert!(!stopping.is_finished(), "it waits for the call");
        host.script.end(|_| done());
        stopping.await.unwrap();
        assert_eq!(stage.journal(saga).await, ["succeeded a"]);
        assert_eq!(host.script.called()[0], "a 1");
        let free =
            "wasaga.sagas where host_id is null and ready_at is not null and interruptions = 0";
        assert!(stage.count(free).await >= 1);
        assert_eq!(stage.count("wasaga.sagas where host_id is not null").await, 0);
        let next = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        stage.until_status(saga, "completed").await;
        assert!(next.script.called().contains(&"b 1".into()));
        next.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_of_the_driver_is_seen() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let host = stage.host(&lease, Scripted::new(|_| panic!("for a test")));
        assert!(host.handle.is_running());
        host.engine.start(stage.request("1")).await.unwrap();
        until("it has died", async || !host.handle.is_running()).await;
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
