//! The consumer on real Postgres and a real broker.

mod raw;
mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    mocking::MockCluster,
};
use support::{
    World, broker, client,
    group::{lag, members},
    outage::Way,
    produce, secured, topic,
};
use wasaga_domain::{
    catalog::{Catalog, Plugin},
    ids::Digest,
    ports::CatalogSource,
};
use wasaga_kafka::{ClientOptions, Consumer, ConsumerHandle, ConsumerOptions};
use wasaga_store::{Store, StoreOptions};

struct Topics(Vec<String>);

impl CatalogSource for Topics {
    fn catalog(&self) -> Arc<Catalog> {
        let subscriptions: Vec<_> =
            self.0.iter().map(|topic| serde_json::json!({ "topic": topic })).collect();
        let manifest = serde_json::json!({
            "name": "hears", "version": "1.0.0", "subscriptions": subscriptions });
        let manifest: wasaga_domain::manifest::Manifest =
            serde_json::from_value(manifest).expect("a manifest");
        let name = manifest.name.clone();
        let plugin =
            Plugin { digest: Digest::of(b""), manifest: Arc::new(manifest), lifecycle: false };
        Arc::new(Catalog { plugins: [(name, plugin)].into(), ..Catalog::default() })
    }
}

fn consume(world: &World, client: &ClientOptions, topics: &[&str]) -> ConsumerHandle {
    consume_with(world, client, topics, ConsumerOptions::default())
}

fn consume_with(
    world: &World,
    client: &ClientOptions,
    topics: &[&str],
    options: ConsumerOptions,
) -> ConsumerHandle {
    // A group a test: it is the database that knows where to go on.
    consume_in(world, client, topics, ConsumerOptions { group: topic("group"), ..options })
}

fn consume_in(
    world: &World,
    client: &ClientOptions,
    topics: &[&str],
    options: ConsumerOptions,
) -> ConsumerHandle {
    let catalog = Arc::new(Topics(topics.iter().map(|topic| (*topic).to_owned()).collect()));
    let (store, wake) = (world.db.store.clone(), world.wake.clone());
    Consumer::start(store, client, catalog, options, wake, world.health.clone()).expect("a thread")
}

fn records(from: usize, to: usize) -> Vec<(Option<i32>, &'static str, &'static [u8])> {
    (from..to).map(|n| (Some(0), ["a", "b", "c"][n % 3], &b"value"[..])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn consumption_goes_on_where_the_database_says() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("resume"));
    let client = client(&broker, &[]);
    produce(&broker, &topic, &records(0, 30));
    let consumer = consume(&world, &client, &[&topic]);
    wait_until!("the first are stored", world.count("task_in").await == 30);
    consumer.stop().await;
    produce(&broker, &topic, &records(0, 20));
    // Another group: Kafka knows nothing of what was consumed.
    let consumer = consume(&world, &client, &[&topic]);
    wait_until!("the others are stored", world.count("task_in").await >= 50);
    consumer.stop().await;
    let offsets = world
        .sql
        .texts("select string_agg(\"offset\"::text, ',' order by id) from wasaga.task_in")
        .await;
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(offsets[0].as_deref(), Some(expected.join(",").as_str()));
    assert_eq!(world.sql.number("select next from wasaga.next_offsets").await, 50);
    assert_eq!(world.sql.number("select count(distinct (key, lane)) from wasaga.task_in").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_over_tls_to_an_account() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("secured"));
    produce(&broker, &topic, &records(0, 30));
    let consumer = consume(&world, &secured::scram("a-password", &[]), &[&topic]);
    wait_until!("they are stored", world.count("task_in").await == 30);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_delivery() {
    let mut world = World::new().await;
    let (broker, topic, other) = (broker(), topic("twice"), topic("other"));
    let client = client(&broker, &[]);
    for topic in [&topic, &other] {
        produce(&broker, topic, &[(Some(0), "a", b"none"), (Some(0), "a", b"none")]);
    }
    let again = |topic: &str, ids: &[&'static [u8]]| {
        for id in ids {
            raw::produce(&broker, topic, b"a", b"v", &[(&b"message-id"[..], *id)]);
        }
    };
    // Within a batch, in a later one, and as what another topic has.
    again(&topic, &[&b"m-1"[..], b"m-2", b"m-1", b"", b"", b"\xff", b"\xff"]);
    again(&other, &[&b"m-1"[..]]);
    let consumer = consume(&world, &client, &[&topic, &other]);
    let next = |topic: &str| {
        format!(
            "select coalesce(sum(next), 0)::bigint from wasaga.next_offsets where topic = '{topic}'"
        )
    };
    wait_until!("all are consumed", {
        world.sql.number(&next(&topic)).await == 9 && world.sql.number(&next(&other)).await == 3
    });
    world.sql.run("update wasaga.task_in set status = 'ready', finished_at = now()").await;
    again(&topic, &[&b"m-2"[..], b"m-3"]);
    wait_until!("the last are consumed", world.sql.number(&next(&topic)).await == 11);
    consumer.stop().await;
    let ids = "select topic || ' ' || message_id from wasaga.task_in where message_id is not null order by 1";
    let ids: Vec<_> = world.sql.texts(ids).await.into_iter().flatten().collect();
    let mut expected = ["m-1", "m-2", "m-3"].map(|id| format!("{topic} {id}")).to_vec();
    expected.push(format!("{other} m-1"));
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(world.count("task_in where message_id is null").await, 8, "what has no id stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_partition_that_is_anothers_is_dropped() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("lost"));
    produce(&broker, &topic, &records(0, 10));
    let consumer = consume(&world, &client(&broker, &[]), &[&topic]);
    wait_until!("the first are stored", world.count("task_in").await == 10);
    // Another consumer has stored five more.
    world.sql.run("update wasaga.next_offsets set next = 15").await;
    produce(&broker, &topic, &records(0, 10));
    wait_until!(
        "the rest is stored",
        world.sql.number("select next from wasaga.next_offsets").await == 20
    );
    consumer.stop().await;
    let offsets = world
        .sql
        .texts("select string_agg(\"offset\"::text, ',' order by id) from wasaga.task_in where \"offset\" >= 10")
        .await;
    assert_eq!(offsets[0].as_deref(), Some("15,16,17,18,19"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_beyond_the_end_means_a_new_topic() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("anew"));
    let client = client(&broker, &[]);
    produce(&broker, &topic, &records(0, 5));
    let consumer = consume(&world, &client, &[&topic]);
    wait_until!("they are stored", world.count("task_in").await == 5);
    consumer.stop().await;
    world.sql.run("update wasaga.next_offsets set next = 1000").await;
    let options = ConsumerOptions { group: self::topic("group"), ..ConsumerOptions::default() };
    let group = options.group.clone();
    let consumer = consume_in(&world, &client, &[&topic], options);
    wait_until!("they are stored again", world.count("task_in").await == 10);
    wait_until!("they are committed", lag(&broker, &group, &topic) == 0);
    consumer.stop().await;
    assert_eq!(world.sql.number("select next from wasaga.next_offsets").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_can_be_no_task_is_a_dead_letter() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("dead"));
    let large = vec![b'x'; 20_000];
    produce(&broker, &topic, &[(Some(0), "a", b"fits"), (Some(0), "a", &large)]);
    raw::produce(&broker, &topic, b"a", b"odd", &[(b"good", b"1"), (b"\xff\xfe", b"2")]);
    produce(&broker, &topic, &[(Some(0), "a", b"after")]);
    let options = ConsumerOptions { max_record_bytes: 10_000, ..ConsumerOptions::default() };
    let consumer = consume_with(&world, &client(&broker, &[]), &[&topic], options);
    wait_until!(
        "all are stored",
        world.sql.number("select coalesce(max(next), 0) from wasaga.next_offsets").await == 4
    );
    consumer.stop().await;
    let statuses = world.sql.texts("select status from wasaga.task_in order by id").await;
    assert_eq!(statuses.iter().flatten().collect::<Vec<_>>(), ["wait", "error", "error", "wait"]);
    let dead = "dead_letter_in d join wasaga.task_in t on t.id = d.task_id
        where d.reason ->> 'code' = 'record-too-large' and octet_length(d.value) = 20000";
    assert_eq!(world.count(dead).await, 1);
    let odd = "dead_letter_in where reason ->> 'code' = 'header-name-not-utf8'
        and headers = '[[\"good\", \"1\"]]' and value = 'odd'";
    assert_eq!(world.count(odd).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_bounded_in_bytes_headers_included() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("bytes"));
    produce(&broker, &topic, &[(Some(0), "a", b"small")]);
    let large = [b'x'; 5_000];
    for n in 0..10 {
        let (value, headers) =
            if n % 2 == 0 { (&large[..], &b""[..]) } else { (&b""[..], &large[..]) };
        raw::produce(&broker, &topic, b"a", value, &[(b"h", headers)]);
    }
    let options = ConsumerOptions { batch_bytes: 10_000, ..ConsumerOptions::default() };
    let consumer = consume_with(&world, &client(&broker, &[]), &[&topic], options);
    wait_until!("all are stored", world.count("task_in").await == 11);
    consumer.stop().await;
    // A batch is a transaction: two large ones, and what is small.
    let largest = "select max(n) from (select count(*) as n from wasaga.task_in group by xmin::text) as batches";
    assert!(world.sql.number(largest).await <= 3);
}

/// Kafka's own limit is lower by default: a topic that takes more can be had.
async fn make_topic_for(broker: &str, topic: &str, bytes: usize) {
    let admin: AdminClient<DefaultClientContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", broker)
        .create()
        .expect("an admin client");
    let bytes = bytes.to_string();
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", &bytes);
    let made = admin.create_topics([&new], &AdminOptions::new()).await.expect("an answer");
    made[0].as_ref().expect("it is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_a_task_up_to_4_mib() {
    const BOUND: usize = 4 << 20;
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("bound"));
    make_topic_for(&broker, &topic, 2 * BOUND).await;
    // Key and value together.
    let (fits, exceeds) = (vec![b'x'; BOUND - 1], vec![b'y'; BOUND]);
    let sent: [(Option<i32>, &str, &[u8]); 3] =
        [(Some(0), "a", &fits), (Some(0), "a", &exceeds), (Some(0), "a", b"after")];
    produce(&broker, &topic, &sent);
    let consumer = consume(&world, &client(&broker, &[]), &[&topic]);
    wait_until!(
        "all are stored",
        world.sql.number("select coalesce(max(next), 0) from wasaga.next_offsets").await == 3
    );
    consumer.stop().await;
    let tasks =
        "select status || ' ' || coalesce(octet_length(value), 0) from wasaga.task_in order by id";
    let tasks = world.sql.texts(tasks).await;
    let tasks: Vec<&str> = tasks.iter().flatten().map(String::as_str).collect();
    assert_eq!(tasks, ["wait 4194303", "error 0", "wait 5"]);
    let dead = "dead_letter_in where reason ->> 'code' = 'record-too-large'
        and reason ->> 'message' like 'the record has 4194305 bytes and flows.in_record_bytes is 4194304;%'
        and octet_length(value) = 4194304";
    assert_eq!(world.count(dead).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_is_kept_and_nothing_lost_while_postgres_is_away() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("outage"));
    let way = Way::to(&world.db.url).await;
    world.db.store = Store::new(StoreOptions::new(way.url(&world.db.url))).expect("a url");
    produce(&broker, &topic, &records(0, 5));
    // A member that does not poll for so long is no longer one.
    let silence = Duration::from_secs(6);
    let client = client(
        &broker,
        &[("consumer.session.timeout.ms", "6000"), ("consumer.max.poll.interval.ms", "6000")],
    );
    let options = ConsumerOptions { group: self::topic("group"), ..ConsumerOptions::default() };
    let group = options.group.clone();
    let consumer = consume_in(&world, &client, &[&topic], options);
    wait_until!("the first are stored", world.count("task_in").await == 5);
    let before = members(&broker, &group);
    assert_eq!(before.len(), 1);
    way.set_open(false);
    let since = Instant::now();
    produce(&broker, &topic, &records(0, 300));
    wait_until!("it tries, and is away for too long", {
        way.refused() >= 3 && since.elapsed() > silence + silence / 4
    });
    way.set_open(true);
    wait_until!("everything is stored", world.count("task_in").await == 305);
    assert_eq!(members(&broker, &group), before, "it has never left the group");
    consumer.stop().await;
    assert_eq!(
        world.sql.number("select count(distinct \"offset\") from wasaga.task_in").await,
        305
    );
    assert_eq!(world.sql.number("select max(next) from wasaga.next_offsets").await, 305);
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_told_of_what_is_stored_and_of_nothing_else() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("lag"));
    let way = Way::to(&world.db.url).await;
    world.db.store = Store::new(StoreOptions::new(way.url(&world.db.url))).expect("a url");
    let spread: Vec<(Option<i32>, &str, &[u8])> =
        (0..40).map(|n| (Some(n % 4), "a", &b"v"[..])).collect();
    produce(&broker, &topic, &spread);
    let options = ConsumerOptions { group: self::topic("group"), ..ConsumerOptions::default() };
    let group = options.group.clone();
    assert_eq!(lag(&broker, &group, &topic), 40);
    let consumer = consume_in(&world, &client(&broker, &[]), &[&topic], options);
    wait_until!("the first are committed", lag(&broker, &group, &topic) == 0);
    assert_eq!(world.count("task_in").await, 40);
    way.set_open(false);
    let since = Instant::now();
    produce(&broker, &topic, &spread);
    // For longer than it is from one commit to the next.
    wait_until!("it has them, and can't store them", {
        way.refused() >= 3 && since.elapsed() > Duration::from_secs(3)
    });
    assert_eq!(lag(&broker, &group, &topic), 40);
    way.set_open(true);
    wait_until!("they are committed", lag(&broker, &group, &topic) == 0);
    produce(&broker, &topic, &spread);
    wait_until!("the last are stored", world.count("task_in").await == 120);
    consumer.stop().await;
    wait_until!("the last are committed", lag(&broker, &group, &topic) == 0);

    // Postgres knows where to go on, and Kafka has never heard of this group.
    let options = ConsumerOptions { group: self::topic("another"), ..ConsumerOptions::default() };
    let group = options.group.clone();
    assert_eq!(lag(&broker, &group, &topic), 120);
    let consumer = consume_in(&world, &client(&broker, &[]), &[&topic], options);
    wait_until!("what was stored before is committed", lag(&broker, &group, &topic) == 0);
    consumer.stop().await;
    assert_eq!(world.count("task_in").await, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_while_the_broker_is_away_and_goes_on_when_it_comes() {
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("early"));
    mock.create_topic(&topic, 1, 1).expect("a topic");
    mock.broker_down(1).expect("it goes");
    let consumer =
        consume(&world, &client(&broker, &[("reconnect.backoff.max.ms", "500")]), &[&topic]);
    wait_until!("the broker is missed", consumer.health().state().last_error.is_some());
    assert!(consumer.health().state().connected_since.is_none());
    mock.broker_up(1).expect("it comes");
    produce(&broker, &topic, &records(0, 3));
    wait_until!("they are stored", world.count("task_in").await == 3);
    wait_until!("it is connected", consumer.health().state().connected_since.is_some());
    assert!(consumer.health().state().last_error.is_none());
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_while_too_many_tasks_do_and_an_unknown_topic_stops_nobody() {
    let mut world = World::new().await;
    let (broker, known, unknown) = (broker(), topic("known"), topic("unknown"));
    produce(&broker, &known, &records(0, 100));
    let options = ConsumerOptions { max_waiting: 50, batch: 10, ..ConsumerOptions::default() };
    let client = client(&broker, &[("consumer.allow.auto.create.topics", "false")]);
    world
        .sql
        .run(
            "insert into wasaga.task_in (lane, cluster, topic, partition, \"offset\")
              select 0, 'c', 't', 0, n from generate_series(1, 50) n",
        )
        .await;
    let options = ConsumerOptions { group: topic("group"), ..options };
    let group = options.group.clone();
    let consumer = consume_in(&world, &client, &[&known, &unknown], options);
    wait_until!("it has its partitions", {
        matches!(&members(&broker, &group)[..], [member] if member.partitions > 0)
    });
    // Another, which begins only now and for which nothing waits, shows how long the records would have taken.
    let mut other = World::new().await;
    let free = consume(&other, &client, &[&known]);
    wait_until!("the other has them all", other.count("task_in").await == 100);
    free.stop().await;
    assert_eq!(world.count("task_in").await, 50, "nothing is added");
    world.sql.run("update wasaga.task_in set status = 'ready', finished_at = now()").await;
    let next = "select coalesce(max(next), 0) from wasaga.next_offsets";
    wait_until!("the rest comes as tasks are done", {
        world.sql.run("update wasaga.task_in set status = 'ready', finished_at = now() where status = 'wait'").await;
        world.sql.number(next).await == 100
    });
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_tasks_are_stuck_stops_no_other() {
    let mut world = World::new().await;
    let (broker, stuck, free) = (broker(), topic("stuck"), topic("free"));
    produce(&broker, &stuck, &records(0, 1_000));
    produce(&broker, &free, &records(0, 1));
    let options = ConsumerOptions { max_waiting: 200, batch: 10, ..ConsumerOptions::default() };
    let consumer = consume_with(&world, &client(&broker, &[]), &[&stuck, &free], options);
    wait_until!("the stuck topic has its fill", world.count("task_in").await >= 100);
    // Whatever comes of the other topic is done at once.
    let done = format!(
        "update wasaga.task_in set status = 'ready', finished_at = now()
         where topic = '{free}' and status = 'wait'"
    );
    for round in 1..=3 {
        produce(&broker, &free, &records(0, 100));
        wait_until!("the free topic goes on", {
            world.sql.run(&done).await;
            world.count(&format!("task_in where topic = '{free}'")).await == 1 + 100 * round
        });
        // The half, and what a batch brings until that is seen.
        let waiting = world.count(&format!("task_in where topic = '{stuck}'")).await;
        assert!((90..150).contains(&waiting), "{waiting} of the stuck topic wait");
    }
    world.sql.run("update wasaga.task_in set status = 'ready', finished_at = now()").await;
    wait_until!("the stuck topic goes on", world.count("task_in where status = 'wait'").await > 0);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_consumers_of_a_group_share_the_partitions_and_store_each_record_once() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("shared"));
    let client = client(&broker, &[]);
    let spread: Vec<(Option<i32>, &str, &[u8])> =
        (0..400).map(|n| (Some(n % 4), ["a", "b", "c"][n as usize % 3], &b"v"[..])).collect();
    produce(&broker, &topic, &spread);
    let group = self::topic("group");
    let options = || ConsumerOptions { group: group.clone(), ..ConsumerOptions::default() };
    let first = consume_in(&world, &client, &[&topic], options());
    wait_until!("the first are stored", world.count("task_in").await == 400);
    let second = consume_in(&world, &client, &[&topic], options());
    // Records come while the partitions change hands, and after.
    let shared = || {
        let members = members(&broker, &group);
        members.len() == 2 && members.iter().all(|member| member.partitions == 2)
    };
    let mut produced = 400;
    wait_until!("each has its share", {
        let shared = shared();
        produce(&broker, &topic, &spread[..40]);
        produced += 40;
        wait_until!("the next are stored", world.count("task_in").await == produced);
        shared
    });
    first.stop().await;
    produce(&broker, &topic, &spread);
    wait_until!("the last are stored", world.count("task_in").await == produced + 400);
    second.stop().await;
    let sorted = "select count(*) from (select \"offset\" - lag(\"offset\", 1, -1::bigint)
        over (partition by partition order by id) as step from wasaga.task_in) as steps where step <> 1";
    assert_eq!(world.sql.number(sorted).await, 0, "each record once, in the order of offsets");
}
