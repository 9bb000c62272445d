//! The relay on real Postgres, with a real broker, and with the mock where the broker has to misbehave.

mod support;

use std::time::Duration;

use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use support::{World, broker, by_key, client, log::Log, read, register, topic};
use tokio::sync::watch;
use wasaga_domain::retry::RetryPolicy;
use wasaga_kafka::RelayOptions;

const WAITING: &str = "task_out where status = 'wait'";

fn attempts(max: u32) -> RetryPolicy {
    RetryPolicy::Fixed { delay_ms: 100, max_attempts: Some(max) }
}

fn quick() -> RelayOptions {
    RelayOptions { sweep: Duration::from_millis(100), ..RelayOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_published_in_order_with_their_headers() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("order"));
    world
        .sql
        .run(&format!(
            "insert into wasaga.task_out (topic, key, value, idempotency_key, headers)
             select '{topic}', convert_to('k' || n % 7, 'UTF8'), convert_to(n::text, 'UTF8'), 'do-' || n,
                 '[[\"a\", \"b\"], [\"traceparent\", \"mine\"]]'
             from generate_series(1, 2000) n"
        ))
        .await;
    let relay = world.relay(&client(&broker, &[]), quick());
    wait_until!("everything is marked", world.count(WAITING).await == 0);
    relay.stop().await;
    let seen = read(&broker, &topic, 2_000);
    for (key, values) in by_key(&seen) {
        let numbers: Vec<i64> = values.iter().map(|v| v.parse().expect("a number")).collect();
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
    let first = seen.iter().find(|record| record.value == "1").expect("the first");
    let names: Vec<&str> = first.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "traceparent", "message-id", "idempotency-key"]);
    let id = world.sql.texts("select message_id::text from wasaga.task_out where id = 1").await;
    assert_eq!(Some(&first.headers[2].1), id[0].as_ref());
    assert_eq!(first.headers[3].1, "do-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_marks_what_is_in_flight_and_gives_the_lane_back() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("stop"));
    // The last can be no record: it ends at once, when those before it were handed to the producer.
    world
        .sql
        .run(&format!(
            "insert into wasaga.task_out (topic, key, headers)
             select '{topic}', convert_to(n::text, 'UTF8'), case when n > 50 then '{{}}' else '[]' end::jsonb
             from generate_series(1, 51) n"
        ))
        .await;
    // Nothing leaves before the linger time is over: the stop finds it in flight.
    let relay = world.relay(&client(&broker, &[("producer.linger.ms", "1500")]), quick());
    wait_until!("all are handed over", world.count("dead_letter_out").await == 1);
    relay.stop().await;
    assert_eq!(world.count("task_out where status = 'ready'").await, 50, "they are marked");
    assert_eq!(world.count("lanes where flow = 'out' and host_id is null").await, 1);
    assert_eq!(read(&broker, &topic, 50).len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_given_up_and_rolled_back() {
    let mut world = World::new().await;
    let (broker, topic, undo) = (broker(), topic("large"), topic("undo"));
    let rollback = format!(
        "jsonb_build_object('topic', '{undo}', 'key', encode('k', 'base64'), 'headers', '[]'::jsonb,
             'value', encode('undone', 'base64'))"
    );
    let large = "convert_to(repeat('x', 2000000), 'UTF8')";
    world.emit(&topic, "'k'", large, &rollback).await;
    world.emit(&topic, "'k'", large, "null").await;
    world.emit(&topic, "'k'", "'small'", "null").await;
    let relay = world.relay(&client(&broker, &[]), quick());
    wait_until!("everything ends", world.count(WAITING).await == 0);
    relay.stop().await;
    let statuses = world.sql.texts("select status from wasaga.task_out order by id").await;
    let statuses: Vec<_> = statuses.iter().flatten().map(String::as_str).collect();
    assert_eq!(statuses, ["rollback", "error_rollback_none", "ready", "ready"]);
    assert_eq!(read(&broker, &undo, 1)[0].value, "undone");
    assert_eq!(read(&broker, &topic, 1)[0].value, "small");
    let reasons = world.sql.texts("select reason ->> 'code' from wasaga.dead_letter_out").await;
    assert_eq!(reasons, vec![Some("kafka-message-size-too-large".to_owned()); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_leads_when_the_leader_loses_its_lease() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("handover"));
    let client = client(&broker, &[]);
    let first = world.relay(&client, quick());
    let leads = |host| format!("lanes where flow = 'out' and host_id = {host}");
    wait_until!("the first leads", world.count(&leads(world.host)).await == 1);
    let other = register(&world.db.store).await;
    let (_lease, watched) = watch::channel(Some(other));
    let second = world.relay_as(&client, quick(), watched);
    world.emit(&topic, "'k'", "'1'", "null").await;
    wait_until!("it is published", world.count(WAITING).await == 0);
    // As if the host had slept: its lease ends in the database, and it does not know.
    world.db.store.host_leave(world.host).await.expect("it leaves");
    wait_until!("the second leads", world.count(&leads(other)).await == 1);
    world.emit(&topic, "'k'", "'2'", "null").await;
    wait_until!("it is published", world.count(WAITING).await == 0);
    assert_eq!(world.count("lanes where flow = 'out' and epoch = 2").await, 1);
    world.lease.send_replace(None);
    first.stop().await;
    second.stop().await;
    let values = by_key(&read(&broker, &topic, 2));
    assert_eq!(values["k"], ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_holds_its_key_until_it_is_published() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("refused"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::Produce, &[refusal, refusal, refusal]);
    for n in 1..=6 {
        world.emit(&topic, "'k'", &format!("'{n}'"), "null").await;
    }
    let relay = world.relay(&client(&broker, &[]), quick());
    wait_until!("everything is published", world.count(WAITING).await == 0);
    relay.stop().await;
    assert_eq!(by_key(&read(&broker, &topic, 6))["k"], ["1", "2", "3", "4", "5", "6"]);
    let attempts =
        world.sql.number("select attempts::bigint from wasaga.task_out where id = 1").await;
    assert_eq!(attempts, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_given_up_after_its_last_refusal() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("forbidden"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::Produce, &[refusal; 3]);
    world.emit(&topic, "'k'", "'1'", "null").await;
    // What was refused librdkafka refuses by itself, until it has asked for the topic again.
    world.sql.run(&format!("select wasaga.emit('{topic}', 'k', '2', max_attempts => 1000)")).await;
    let relay = world.relay(&client(&broker, &[]), RelayOptions { retry: attempts(3), ..quick() });
    wait_until!("both end", world.count(WAITING).await == 0);
    relay.stop().await;
    assert_eq!(by_key(&read(&broker, &topic, 1))["k"], ["2"]);
    assert_eq!(world.count("dead_letter_out where attempts = 3").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applications_message_has_its_own_maximum_of_attempts() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("two-attempts"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::Produce, &[refusal; 2]);
    let rollback = format!("{{\"topic\": \"{topic}\", \"key\": \"k\", \"payload\": \"undone\"}}");
    let emit = format!("'{topic}', 'k', '1', max_attempts => 2, rollback => '{rollback}'");
    world.sql.run(&format!("select wasaga.emit({emit})")).await;
    let relay = world.relay(&client(&broker, &[]), RelayOptions { retry: attempts(10), ..quick() });
    wait_until!("its rollback is published", world.count(WAITING).await == 0);
    relay.stop().await;
    assert_eq!(by_key(&read(&broker, &topic, 1))["k"], ["\"undone\""]);
    assert_eq!(world.count("dead_letter_out where attempts = 2").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_horizon_is_forgotten() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("horizon"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    for name in ["old", "new"] {
        let emit = format!("wasaga.emit('{topic}', idempotency_key => '{name}')");
        world.sql.run(&format!("select {emit}, wasaga.accept('test', '{name}')")).await;
    }
    let past = "set until = now() where";
    world.sql.run(&format!("update wasaga.emitted {past} idempotency_key = 'old'")).await;
    world.sql.run(&format!("update wasaga.accepted {past} message_id = 'old'")).await;
    let relay = world.relay(&client(&broker, &[]), quick());
    wait_until!("the key is forgotten", world.count("emitted").await == 1);
    wait_until!("the message is forgotten", world.count("accepted").await == 1);
    relay.stop().await;
    let left = "emitted join wasaga.accepted on idempotency_key = 'new' and message_id = 'new'";
    assert_eq!(world.count(left).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn published_messages_are_deleted_in_bounded_batches() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    world
        .sql
        .run(
            "create table batches (rows bigint);
             create function count_batch() returns trigger language plpgsql as $$ begin
                 insert into batches select count(*) from gone; return null;
             end $$;
             create trigger batches after delete on wasaga.task_out referencing old table as gone
                 for each statement execute function count_batch();
             insert into wasaga.task_out (topic, status, finished_at)
             select 't', case n when 1 then 'error_rollback_none' else 'ready' end,
                 -- The dead letter of what was given up is open.
                 case n when 1 then null when 2 then now() else now() - interval '2 hours' end
             from generate_series(1, 30000) n",
        )
        .await;
    let relay = world.relay(&client(&mock.bootstrap_servers(), &[]), quick());
    wait_until!("what is old and published is deleted", world.count("task_out").await <= 2);
    relay.stop().await;
    let kept = world.sql.texts("select id::text from wasaga.task_out order by id").await;
    assert_eq!(kept, ["1", "2"].map(|id| Some(id.to_owned())));
    assert_eq!(world.sql.number("select max(rows) from batches").await, 5_000);
}

#[tokio::test]
async fn a_broker_that_comes_back_gets_everything_in_order() {
    let log = Log::of_this_thread();
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("away"));
    mock.create_topic(&topic, 2, 1).expect("a topic");
    mock.broker_down(1).expect("it goes");
    for n in 1..=20 {
        world.emit(&topic, &format!("'{}'", n % 3), &format!("'{n:02}'"), "null").await;
    }
    // Short enough for messages to time out and be tried again.
    let options = RelayOptions { lease: Duration::from_millis(1_500), ..quick() };
    let relay =
        world.relay(&client(&broker, &[("producer.reconnect.backoff.max.ms", "500")]), options);
    wait_until!("the broker is missed", world.health.state().last_error.is_some());
    // One of each key at a time: with the fourth, some message was given back for the second time.
    wait_until!("messages are tried again", log.count(&["again", "MessageTimedOut"]) > 3);
    assert_eq!(world.count(WAITING).await, 20);
    mock.broker_up(1).expect("it comes");
    wait_until!("everything is published", world.count(WAITING).await == 0);
    relay.stop().await;
    for (key, values) in by_key(&read(&broker, &topic, 20)) {
        assert!(values.is_sorted(), "{key}: {values:?}");
    }
}

/// Hashes of these keys by Java's producer: Kafka's own `UtilsTest.testMurmur2`.
const HASHES: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_the_partition_that_javas_producer_gives_it() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("partitions"));
    let partitions = 7;
    mock.create_topic(&topic, partitions, 1).expect("a topic");
    for (key, _) in HASHES {
        world.emit(&topic, &format!("'{key}'"), "'1'", "null").await;
    }
    let relay = world.relay(&client(&broker, &[]), quick());
    wait_until!("everything is published", world.count(WAITING).await == 0);
    relay.stop().await;
    let seen = read(&broker, &topic, HASHES.len());
    for (key, hash) in HASHES {
        let of_key = seen.iter().find(|record| record.key.as_deref() == Some(key));
        let partition = of_key.map(|record| record.partition);
        assert_eq!(partition, Some((hash & i32::MAX) % partitions), "{key}");
    }
}
