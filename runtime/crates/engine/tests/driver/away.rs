//! Starts while the database is away: tried for a while, then refused, and never made twice.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use wasaga_domain::ids::SagaId;
use wasaga_engine::driver::{EngineOptions, StartError};

use crate::{
    proxy::{Cut, Line, Proxy},
    script::{Answer, Scripted, done},
    stage::{BLOCKED_STARTS, Stage, bounded, until},
};

const CALL: &str = "insert into wasaga.sagas";

#[tokio::test]
async fn a_cut_start_is_tried_again_and_starts_once() {
    for cut in [Cut::BeforeCall, Cut::AfterCall] {
        bounded(async {
            let stage = Stage::new("a").await;
            let lease = stage.lease(Duration::from_secs(10)).await;
            let proxy = Proxy::start(&stage.db.url).await;
            let script = Scripted::new(|_| Answer::Now(done()));
            let store = stage.store_behind(&proxy);
            let mut host = stage.host_on(store, lease.host(), script, EngineOptions::default());
            proxy.cut_next(CALL, cut);
            let started = host.engine.start(stage.request("1")).await.unwrap();
            assert!(started.created && proxy.cuts() == 1, "{cut:?}: {started:?}");
            host.end().await;
            assert_eq!(host.script.called(), ["a 1"]);
            host.handle.stop().await;
            lease.stop().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_start_gives_up_and_is_found_again_under_its_key() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(30)).await;
        let proxy = Proxy::start(&stage.db.url).await;
        let script = Scripted::new(|_| Answer::Now(done()));
        let store = stage.store_behind(&proxy);
        let mut host = stage.host_on(store, lease.host(), script, EngineOptions::default());
        let mut session = stage.session().await;
        let id = SagaId::derived("test", "1");
        let in_the_way = format!(
            "begin; insert into wasaga.sagas (id, definition, version, nonce, input_type, input, epoch, status, state)
             values ('{id}', 'test', 1, 1, 't', '', 1, 'waiting', '{{}}')"
        );
        session.run(&in_the_way).await;
        let begun = Instant::now();
        let start = tokio::spawn({
            let (engine, request) = (host.engine.clone(), stage.request("1"));
            async move { engine.start(request).await }
        });
        until("it is under way", async || stage.count(BLOCKED_STARTS).await == 1).await;
        proxy.turn(Line::Away);
        // The server goes on with what it has, and finds nobody to tell.
        session.run("rollback").await;
        until("it is committed", async || stage.count("wasaga.sagas").await == 1).await;
        let told = timeout(Duration::from_secs(10), start).await.expect("it gives up").unwrap();
        assert!(matches!(told, Err(StartError::Unavailable(_))), "{told:?}");
        assert!(begun.elapsed() >= Duration::from_secs(3), "it is patient: {:?}", begun.elapsed());
        proxy.turn(Line::Open);
        let again = host.engine.start(stage.request("1")).await.unwrap();
        assert_eq!((again.saga_id, again.created), (id, false));
        host.end().await;
        assert_eq!(host.script.called(), ["a 1"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
