//! Topics that have a codec: what locators and sagas see of their values, and a schema that is not there yet.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use wasaga_domain::{
    catalog::Active,
    definition::{Definition, Overrides},
    manifest::{Locator, Manifest},
    value_reader::{Unread, ValueReader},
};

use super::{Host, World};

/// A saga that a record on `coded.starts` starts.
pub fn active() -> Active {
    let step = json!({ "name": "only", "timeout_ms": 1000, "retry": { "never": {} } });
    let manifest: Manifest = serde_json::from_value(json!({
        "name": "worker", "version": "1.0.0", "steps": ["only"],
        "sagas": [{ "name": "coded", "version": 1, "steps": [step], "input_schema": { "required": ["id"] } }],
    }))
    .unwrap();
    let definition =
        Definition::new(&manifest.sagas[0], &manifest.name, &Overrides::default()).unwrap();
    Active {
        definition: Arc::new(definition),
        http: vec![],
        topics: vec![("coded.starts".into(), Locator::JsonPointer("/id".into()))],
        schedule: None,
    }
}

/// The codec of topics `coded.…`: JSON behind an `x`, or behind a `y` where it takes a schema that may be away.
#[derive(Default)]
pub struct FakeCodec {
    away: AtomicBool,
    waited: AtomicUsize,
}

#[async_trait]
impl ValueReader for FakeCodec {
    fn read(&self, topic: &str, value: &[u8]) -> Option<Result<Bytes, Unread>> {
        topic.starts_with("coded.").then(|| match value.split_first() {
            Some((b'y', _)) if self.away.load(Relaxed) => {
                self.waited.fetch_add(1, Relaxed);
                Err(Unread::Away("nobody has it".into()))
            }
            Some((b'x' | b'y', rest)) => Ok(Bytes::copy_from_slice(rest)),
            _ => Err(Unread::Fault("it has no x".into())),
        })
    }

    async fn read_within(&self, _: &str, _: &[u8], _: Duration) -> Option<Result<Bytes, Unread>> {
        unreachable!("the inbox never waits for a schema")
    }
}

impl FakeCodec {
    async fn waited_for(&self, times: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.waited.load(Relaxed) < times {
            assert!(Instant::now() < until, "the schema was not asked for {times} times");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn locators_and_inputs_are_read_by_the_codec() {
    let world = World::new().await;
    world.waiting_saga("coded.replies", "c1").await;
    world.record("coded.replies", 0, Some("a"), "x{\"correlation\": \"c1\"}").await;
    world.record("coded.replies", 1, Some("a"), "{\"correlation\": \"c1\"}").await;
    world.record("coded.replies", 2, Some("a"), "x[]").await;
    world.record("coded.starts", 0, Some("a"), "x{\"id\": 1.50}").await;
    world.record("coded.starts", 1, Some("a"), "{\"id\": 2}").await;
    world.record("coded.starts", 2, Some("a"), "x{\"id\": \"late\"}").await;
    let host = Host::start(&world).await;
    world
        .until("select mail = 1 and ready_at is not null from wasaga.sagas where definition = 'd'")
        .await;
    // Who waits gets the value as it came.
    world.until("select count(*) = 1 from wasaga.mail where correlation = 'c1' and get_byte(value, 0) = 120").await;
    world
        .until(
            "select string_agg(convert_from(input, 'UTF8'), ' ' order by business_key)
                 = '{\"id\": 1.50} {\"id\": \"late\"}'
             from wasaga.sagas where definition = 'coded'",
        )
        .await;
    world
        .until(
            "select array_agg(concat_ws(' ', topic, \"offset\", reason->>'code') order by topic, \"offset\")
                 = '{coded.replies 1 unreadable-value,coded.replies 2 no-correlation,coded.starts 1 unreadable-value}'
             from wasaga.dead_letter_in",
        )
        .await;
    world
        .until("select bool_and(reason->>'message' = 'it has no x') from wasaga.dead_letter_in where \"offset\" = 1")
        .await;
    host.stop().await;
}

#[tokio::test]
async fn a_schema_that_is_away_holds_up_its_keys_and_nobody_else() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    host.values.away.store(true, Relaxed);
    let begun = Instant::now();
    for (offset, (key, value)) in
        [("a", "y1"), ("a", "x2"), ("b", "x3"), ("a", "x4")].into_iter().enumerate()
    {
        let (first, number) = value.split_at(1);
        let value = format!("{first}{{\"correlation\": \"{key}\", \"number\": {number}}}");
        world.record("coded.replies", offset as i64, Some(key), &value).await;
    }
    world.record("coded.starts", 0, Some("a"), "y{\"id\": \"waits\"}").await;
    world.record("coded.starts", 1, Some("b"), "x{\"id\": \"goes on\"}").await;
    world.record("commands", 0, Some("a"), "do it").await;
    host.stored.notify_one();
    host.plugin.called("do it", 1).await;
    world.until("select count(*) = 1 from wasaga.waits where correlation = 'b'").await;
    world.until("select array_agg(business_key) = '{goes on}' from wasaga.sagas").await;
    host.values.waited_for(7).await;
    // Two records wait, each a while longer every time: 0.1 s, 0.2 s, 0.4 s, give or take a fifth.
    let waited = host.values.waited.load(Relaxed);
    let most = 2.0 * (1.0 + (1.0 + begun.elapsed().as_secs_f64() / 0.08).log2());
    assert!(waited as f64 <= most, "{waited} times, and not {most}");
    let waiting = "select count(*) = 4 from wasaga.task_in where status = 'wait' and attempts = 0";
    world.until(waiting).await;
    world.until("select count(*) = 0 from wasaga.dead_letter_in").await;

    host.values.away.store(false, Relaxed);
    world
        .until(
            "select array(select convert_from(substr(value, 2), 'UTF8')::jsonb->>'number'
                 from unnest(arrived_values) with ordinality as arrived (value, place) order by place) = '{1,2,4}'
             from wasaga.waits where correlation = 'a'",
        )
        .await;
    world.until("select count(*) = 2 from wasaga.sagas where definition = 'coded'").await;
    world.until("select count(*) = 7 from wasaga.task_in where status = 'ready'").await;
    host.stop().await;
}
