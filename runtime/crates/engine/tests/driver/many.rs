//! Many sagas at once.

use std::time::Duration;

use futures::{StreamExt, stream};

use crate::{
    script::{Answer, Scripted, done, permanent, retryable},
    stage::{Stage, bounded},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sagas_at_two_hundred() {
    bounded(async {
        const SAGAS: usize = 2_000;
        let stage = Stage::new("a b c").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        // Every tenth is declined, every seventh is busy once.
        let script = Scripted::new(|call| {
            let key: usize = call.attempt.business_key.as_deref().unwrap().parse().unwrap();
            let step = &*call.attempt.step;
            let forward = call.attempt.direction.as_str() == "forward";
            Answer::Now(match (step, call.attempt.number) {
                ("b", 1) if key.is_multiple_of(7) && forward => retryable(),
                ("c", _) if key.is_multiple_of(10) && forward => permanent(),
                _ => done(),
            })
        });
        let mut host = stage.host(&lease, script);
        stream::iter(0..SAGAS)
            .for_each_concurrent(200, async |key| {
                assert!(host.engine.start(stage.request(&key.to_string())).await.unwrap().created);
            })
            .await;
        for _ in 0..SAGAS {
            host.end().await;
        }
        let ended = |status| format!("wasaga.sagas where status = '{status}'");
        assert_eq!(stage.count(&ended("completed")).await, 1_800);
        assert_eq!(stage.count(&ended("compensated")).await, 200);
        let expected = [
            ("succeeded", 1_800 * 3 + 200 * 4), ("retrying", 286), ("failed", 200), ("undoing", 200),
            ("completed", 1_800), ("compensated", 200),
        ];
        for (kind, times) in expected {
            assert_eq!(stage.count(&format!("wasaga.journal where kind = '{kind}'")).await, times, "{kind}");
        }
        let gaps = "wasaga.sagas s where sequence <> (select count(*) from wasaga.journal where saga_id = s.id)
            or sequence <> (select max(number) from wasaga.journal where saga_id = s.id)";
        assert_eq!(stage.count(gaps).await, 0);
        assert_eq!(stage.count("wasaga.timers").await, 0);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
