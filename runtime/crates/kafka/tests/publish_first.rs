//! Publish-first on real Postgres: with a real broker, and with the mock where the broker has to misbehave.

mod support;

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use support::{Seen, World, broker, client, read, topic};
use tokio::task::JoinHandle;
use wasaga_kafka::{ClientOptions, Publisher, PublisherOptions, RelayOptions, testing::make_topic};
use wasaga_store::{
    emit::NewMessage,
    publish_first::{PublishError, Published},
};

const WAITING: &str = "task_out where status = 'wait'";

fn publisher(world: &World, client: &ClientOptions, options: PublisherOptions) -> Publisher {
    let (store, wake, health) = (world.db.store.clone(), world.wake.clone(), world.health.clone());
    Publisher::new(store, client, options, wake, health).expect("the options fit")
}

fn quick() -> PublisherOptions {
    PublisherOptions { within: Duration::from_millis(500), ..PublisherOptions::default() }
}

fn relay() -> RelayOptions {
    RelayOptions { sweep: Duration::from_millis(100), ..RelayOptions::default() }
}

fn message(topic: &str, key: &str, value: impl ToString) -> NewMessage {
    NewMessage::to(topic).key(key).bytes(value.to_string())
}

fn header<'a>(record: &'a Seen, name: &str) -> &'a str {
    let header = record.headers.iter().find(|(header, _)| header == name);
    header.map_or("", |(_, value)| value)
}

fn values(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|record| record.value.as_str()).collect()
}

async fn message_id(world: &mut World, id: i64) -> String {
    let ids = format!("select message_id::text from wasaga.task_out where id = {id}");
    world.sql.texts(&ids).await.remove(0).expect("it has one")
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_first_with_the_broker_up() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("first"));
    let client = client(&broker, &[]);
    let publisher = publisher(&world, &client, PublisherOptions::default());
    let once = message(&topic, "k", 1).idempotency_key("do").header("tenant", "acme");
    let Ok(Published::Published { id, offset: 0, .. }) = publisher.publish(&once).await else {
        panic!("a broker that is up takes it")
    };
    let ready = "task_out where status = 'ready' and finished_at is not null";
    assert_eq!(world.count(ready).await, 1);
    assert_eq!(publisher.publish(&once).await.expect("it is known"), Published::Known { id });
    let second = publisher.publish(&message(&topic, "k", 2)).await.expect("it is published");
    assert!(matches!(second, Published::Published { offset: 1, .. }), "{second:?}");
    // A relay finds nothing to do.
    let relay = world.relay(&client, relay());
    world.emit(&topic, "'k'", "'3'", "null").await;
    wait_until!("the third is published", world.count(WAITING).await == 0);
    relay.stop().await;
    let seen = read(&broker, &topic, 3);
    assert_eq!(values(&seen), ["1", "2", "3"]);
    assert_eq!(header(&seen[0], "message-id"), message_id(&mut world, id).await);
    assert_eq!((header(&seen[0], "idempotency-key"), header(&seen[0], "tenant")), ("do", "acme"));
}

#[tokio::test]
async fn publish_first_with_the_broker_down() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("down"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let client = client(&broker, &[("producer.reconnect.backoff.max.ms", "500")]);
    let publisher = publisher(&world, &client, quick());
    let first = publisher.publish(&message(&topic, "k", 1)).await.expect("it is published");
    assert!(matches!(first, Published::Published { .. }), "{first:?}");
    mock.broker_down(1).expect("it goes");
    let Ok(Published::Stored { id }) = publisher.publish(&message(&topic, "k", 2)).await else {
        panic!("what the broker does not acknowledge is stored")
    };
    mock.broker_up(1).expect("it comes");
    // Nobody has published the second: the third may not overtake it.
    let third = publisher.publish(&message(&topic, "k", 3)).await.expect("it is stored");
    assert!(matches!(third, Published::Stored { .. }), "{third:?}");
    assert_eq!(world.count(WAITING).await, 2);
    let relay = world.relay(&client, relay());
    wait_until!("the relay goes on with them", world.count(WAITING).await == 0);
    relay.stop().await;
    let seen = read(&broker, &topic, 3);
    assert_eq!(values(&seen), ["1", "2", "3"]);
    assert_eq!(header(&seen[1], "message-id"), message_id(&mut world, id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_a_topic_that_the_broker_does_not_have_is_left_to_the_relay() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("missing"));
    let client = client(&broker, &[("producer.allow.auto.create.topics", "false")]);
    let publisher = publisher(&world, &client, quick());
    let Ok(Published::Stored { id }) = publisher.publish(&message(&topic, "k", 1)).await else {
        panic!("what the broker refuses for now is stored")
    };
    assert_eq!(world.count(WAITING).await, 1);
    make_topic(&client, &topic, 1).await.expect("it is made");
    let relay = world.relay(&client, relay());
    wait_until!("the relay goes on with it", world.count(WAITING).await == 0);
    relay.stop().await;
    let seen = read(&broker, &topic, 1);
    assert_eq!(values(&seen), ["1"]);
    assert_eq!(header(&seen[0], "message-id"), message_id(&mut world, id).await);
}

#[tokio::test]
async fn a_record_that_nobody_heard_of_has_the_id_of_the_stored_one() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("unheard"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let client = client(&broker, &[]);
    let publisher = publisher(&world, &client, quick());
    let warm = publisher.publish(&message(&topic, "other", 0)).await.expect("it is published");
    assert!(matches!(warm, Published::Published { .. }), "{warm:?}");
    // The broker takes what comes, and its answers come too late.
    mock.broker_round_trip_time(1, Duration::from_secs(4)).expect("it slows down");
    let Ok(Published::Stored { id }) = publisher.publish(&message(&topic, "k", 1)).await else {
        panic!("what the broker does not acknowledge is stored")
    };
    mock.broker_round_trip_time(1, Duration::ZERO).expect("it is quick again");
    let relay = world.relay(&client, relay());
    wait_until!("the relay goes on with it", world.count(WAITING).await == 0);
    relay.stop().await;
    let seen = read(&broker, &topic, 3);
    assert_eq!(values(&seen), ["0", "1", "1"]);
    let id = message_id(&mut world, id).await;
    assert!(seen[1..].iter().all(|record| header(record, "message-id") == id), "{seen:?}");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_record_without_its_message() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("gone"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let publisher = publisher(&world, &client(&broker, &[]), PublisherOptions::default());
    let warm = publisher.publish(&message(&topic, "other", 0)).await.expect("it is published");
    assert!(matches!(warm, Published::Published { .. }), "{warm:?}");
    mock.broker_round_trip_time(1, Duration::from_millis(700)).expect("it slows down");
    let caller = tokio::spawn({
        let (publisher, message) = (publisher.clone(), message(&topic, "k", 1));
        async move { publisher.publish(&message).await }
    });
    let emitted = "select count(*) from pg_stat_activity
        where datname = current_database() and state = 'idle in transaction'";
    wait_until!("it is with the broker", world.sql.number(emitted).await == 1);
    caller.abort();
    publisher.close().await;
    assert_eq!(world.count("task_out where status = 'ready'").await, 2);
    assert_eq!(values(&read(&broker, &topic, 2)), ["0", "1"]);
}

#[tokio::test]
async fn callers_of_one_key_keep_their_order_while_the_broker_comes_and_goes() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("flapping"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let client = client(&broker, &[("producer.reconnect.backoff.max.ms", "200")]);
    let relay = world.relay(&client, relay());
    let callers = ["a", "b"].map(|name| {
        let publisher = publisher(&world, &client, quick());
        let topic = topic.clone();
        tokio::spawn(async move {
            let mut stored = 0;
            // Each goes on until the broker was away and is back.
            let (mut n, mut after) = (0, 0);
            while after < 20 {
                let sent = message(&topic, "k", format!("{name}{n:04}"));
                match publisher.publish(&sent).await.expect("it is published or stored") {
                    Published::Stored { .. } => stored += 1,
                    _ if stored > 0 => after += 1,
                    _ => {}
                }
                n += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            n
        })
    });
    wait_until!("some are published", world.count("task_out where status = 'ready'").await > 10);
    mock.broker_down(1).expect("it goes");
    wait_until!("some are stored", world.count(WAITING).await > 1);
    mock.broker_up(1).expect("it comes");
    let mut sent = 0;
    for caller in callers {
        sent += caller.await.expect("a caller ends");
    }
    wait_until!("everything is published", world.count(WAITING).await == 0);
    relay.stop().await;
    let seen = read(&broker, &topic, sent);
    for name in ["a", "b"] {
        let mut firsts: Vec<&str> = Vec::new();
        for value in values(&seen).into_iter().filter(|value| value.starts_with(name)) {
            if !firsts.contains(&value) {
                firsts.push(value);
            }
        }
        assert!(firsts.is_sorted(), "{firsts:?}");
    }
}

#[tokio::test]
async fn what_no_broker_takes_is_refused_and_not_stored() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let topic = topic("large");
    mock.create_topic(&topic, 1, 1).expect("a topic");
    let publisher = publisher(&world, &client(&mock.bootstrap_servers(), &[]), quick());
    let large = message(&topic, "k", "x".repeat(2_000_000)).idempotency_key("large");
    let refused = publisher.publish(&large).await.expect_err("no broker takes it");
    assert!(
        matches!(&refused, PublishError::Refused(why) if why.contains("MessageSizeTooLarge")),
        "{refused}"
    );
    assert_eq!((world.count("task_out").await, world.count("emitted").await), (0, 0));
}

#[tokio::test]
async fn more_than_may_be_with_the_broker_are_stored_at_once() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let topic = topic("many");
    mock.create_topic(&topic, 1, 1).expect("a topic");
    mock.broker_round_trip_time(1, Duration::from_secs(20)).expect("it slows down");
    let options = PublisherOptions { within: Duration::from_secs(20), at_once: 1 };
    let publisher = publisher(&world, &client(&mock.bootstrap_servers(), &[]), options);
    let publishing = [1, 2].map(|n| {
        let (publisher, message) = (publisher.clone(), message(&topic, &n.to_string(), n));
        tokio::spawn(async move { publisher.publish(&message).await })
    });
    let is_done =
        |publishing: &[JoinHandle<_>; 2]| publishing.each_ref().map(JoinHandle::is_finished);
    wait_until!("one of them is stored", is_done(&publishing) != [false, false]);
    assert_ne!(is_done(&publishing), [true, true], "the other is with the broker");
    assert_eq!(world.count(WAITING).await, 1);
    for publishing in publishing {
        publishing.abort();
    }
}
