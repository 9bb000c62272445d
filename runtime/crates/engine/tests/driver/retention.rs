//! Ended sagas leave while others run, each once, however many hosts remove them.

use std::time::Duration;

use wasaga_engine::retention::{Retention, RetentionOptions};
use wasaga_store::retention::Retirement;

use crate::{
    script::{Answer, Scripted, asks, done},
    stage::{Stage, bounded, until},
};

#[tokio::test]
async fn two_hosts_remove_each_once() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            let waits = call.attempt.business_key.as_deref() == Some("waits");
            Answer::Now(if waits { asks(call) } else { done() })
        });
        let mut host = stage.host(&lease, script);
        let waiting = host.engine.start(stage.request("waits")).await.unwrap().saga_id;
        for key in 0..50 {
            host.engine.start(stage.request(&key.to_string())).await.unwrap();
        }
        for _ in 0..50 {
            host.end().await;
        }
        let options = RetentionOptions {
            retirement: Retirement {
                keep: Duration::ZERO,
                archive: true,
                batch: 7,
                tombstones: Duration::from_hours(1),
                every: Duration::from_millis(20),
            },
            archive_keep: None,
        };
        let removing: Vec<_> =
            (0..2).map(|_| Retention::start(stage.store(), options.clone())).collect();
        until("all are archived", async || stage.count("wasaga.archived_sagas").await == 50).await;
        // A second start meets the tombstone, whoever asks.
        let again = host.engine.start(stage.request("7")).await.unwrap();
        assert!(!again.created && again.status.is_final());
        assert_eq!(stage.status(waiting).await, "waiting");
        stage.reply("waits/a").await;
        host.sagas.notify_one();
        assert_eq!(host.end().await, waiting);
        until("it follows", async || stage.count("wasaga.sagas").await == 0).await;
        for retention in removing {
            retention.stop().await;
        }
        let journal = "wasaga.archived_journal where kind in ('succeeded', 'completed')";
        assert_eq!(stage.count(journal).await, 102);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
