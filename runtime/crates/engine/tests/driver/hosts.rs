//! Two hosts on one database: shared work, a host that is gone, a host that does not know it is.

use std::time::Duration;

use tokio::sync::watch;
use wasaga_engine::driver::EngineOptions;

use crate::{
    script::{Answer, Scripted, asks, done},
    stage::{Stage, bounded, until},
};

#[tokio::test]
async fn two_hosts_share_and_one_ends_what_the_other_left() {
    bounded(async {
        const SAGAS: i64 = 100;
        let stage = Stage::new("a b").await;
        // The one that is aborted has a lease that nobody prolongs.
        let store = stage.store();
        let mortal = store.host_register("mortal", "0", Duration::from_secs(2)).await.unwrap();
        let (_beats, host) = watch::channel(Some(mortal));
        // It ends every other saga, and hangs in the rest.
        let script = Scripted::new(|call| {
            let key: u32 = call.attempt.business_key.as_deref().unwrap().parse().unwrap();
            if key.is_multiple_of(2) { Answer::Now(done()) } else { Answer::Later }
        });
        let first = stage.host_on(store, host, script, EngineOptions::default());
        let lease = stage.lease(Duration::from_secs(10)).await;
        let second = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        for key in 0..SAGAS {
            let host = if key % 4 < 2 { &first } else { &second };
            host.engine.start(stage.request(&key.to_string())).await.unwrap();
        }
        let completed = "wasaga.sagas where status = 'completed'";
        until("the rest hangs", async || stage.count(completed).await == 75).await;
        assert_eq!(first.script.running(), 25);
        drop(first.engine);
        until("all end", async || stage.count(completed).await == SAGAS).await;
        let called =
            |step: &str| second.script.called().iter().filter(|line| *line == step).count();
        assert_eq!((called("a 1"), called("a 2")), (50, 25), "a lost lease counts an attempt");
        // What it ends now is another's.
        first.script.end(|_| done());
        first.handle.stop().await;
        let twice = "(select from wasaga.journal where kind = 'succeeded' group by saga_id, step
            having count(*) > 1) twice";
        assert_eq!(stage.count(twice).await, 0);
        second.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_frozen_host_commits_nothing() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let store = stage.store();
        let frozen = store.host_register("frozen", "0", Duration::from_millis(300)).await.unwrap();
        let (_beats, host) = watch::channel(Some(frozen));
        let script = Scripted::new(|_| Answer::Later);
        let first = stage.host_on(store, host, script, EngineOptions::default());
        let saga = first.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("it is called", async || first.script.running() == 1).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut second = stage.host(
            &lease,
            Scripted::new(|call| {
                if &*call.attempt.step == "a" { Answer::Later } else { Answer::Now(done()) }
            }),
        );
        until("another takes it over", async || second.script.running() == 1).await;
        first.script.end(|_| done());
        // It has said so when it holds nothing any more: then a stop has nothing to wait for.
        first.handle.stop().await;
        assert!(stage.journal(saga).await.is_empty(), "the frozen host committed");
        second.script.end(|_| done());
        second.end().await;
        assert_eq!(stage.journal(saga).await, ["succeeded a", "succeeded b", "completed"]);
        assert_eq!(second.script.called(), ["a 2", "b 1"]);
        assert_eq!(first.script.called(), ["a 1"]);
        second.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_nobody_remembers_is_released() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|call| Answer::Now(asks(call))));
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        // As when the answer to a claim is lost on its way.
        let id = lease.host().borrow().unwrap();
        let claim = format!("update wasaga.sagas set host_id = {id}, epoch = epoch + 1");
        stage.session().await.run(&claim).await;
        stage.reply("1/a").await;
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "resume a 1"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
