//! Messages that come before anybody waits for them: how many are kept, and that their end is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::{Host, World};

#[tokio::test]
async fn more_than_a_key_keeps_end_in_the_dead_letters() {
    let world = World::new().await;
    for offset in 0..70 {
        world.record("replies", offset, Some("c"), "{}").await;
    }
    let host = Host::start(&world).await;
    world
        .until(
            "select count(*) = 6 and min(\"offset\") = 64 and bool_and(reason->>'code' = 'commit-refused'
                and reason->>'message' like '%64 messages for c on topic replies are kept%')
             from wasaga.dead_letter_in",
        )
        .await;
    world.until("select count(*) = 64 from wasaga.task_in where status = 'ready'").await;
    world.until("select cardinality(arrived_keys) = 64 from wasaga.waits").await;
    host.stop().await;
}

#[tokio::test]
async fn those_that_expire_are_counted() {
    let expired = Expired::default();
    // The inbox's tasks run on the test's own thread.
    let _recorder = metrics::set_default_local_recorder(&expired);
    let world = World::new().await;
    world
        .run(
            "insert into wasaga.waits (topic, correlation, arrived_keys, arrived_headers, arrived_values, expires_at)
             select 'replies', n::text, '{a,b}', '{[],[]}', '{a,b}', now() + (n - 2) * interval '1 hour'
             from generate_series(1, 3) n",
        )
        .await;
    let host = Host::start(&world).await;
    let counted = async {
        while expired.0.load(Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.expect("they are counted");
    assert_eq!(expired.0.load(Relaxed), 4);
    host.stop().await;
}

/// Listens to the one counter.
#[derive(Default)]
struct Expired(Arc<AtomicU64>);

impl Recorder for Expired {
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let topic = key.labels().next().map(|label| (label.key(), label.value()));
        match key.name() {
            "wasaga_early_replies_expired_total" if topic == Some(("topic", "replies")) => {
                Counter::from_arc(Arc::clone(&self.0))
            }
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }

    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
}
