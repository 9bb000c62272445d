//! The order of each key, whoever leads and whatever fails.

mod support;

use std::time::{Duration, Instant};

use rdkafka::{
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use support::{Seen, World, broker, by_key, client, read, read_until, register, topic};
use tokio::sync::watch;
use wasaga_kafka::RelayOptions;
use wasaga_store::testing_sql::Session;

const WAITING: &str = "task_out where status = 'wait'";

fn quick() -> RelayOptions {
    RelayOptions { sweep: Duration::from_millis(100), ..RelayOptions::default() }
}

fn leads(host: impl std::fmt::Display) -> String {
    format!("lanes where flow = 'out' and host_id = {host}")
}

#[tokio::test(flavor = "multi_thread")]
async fn order_kept_by_key_under_retries_and_two_hosts() {
    const KEYS: usize = 5;
    let mut world = World::new().await;
    let mock = MockCluster::new(1).expect("a mock");
    let (broker, topic) = (mock.bootstrap_servers(), topic("two-hosts"));
    mock.create_topic(&topic, 3, 1).expect("a topic");
    // Short enough for messages to time out and be tried again.
    let options = RelayOptions { lease: Duration::from_millis(1_500), ..quick() };
    // A request a record, so that one fails and the next does not. One at a time, as the mock does not look at sequence numbers:
    // it takes the second where the first has failed, and librdkafka then takes the first for acknowledged.
    let client = client(
        &broker,
        &[
            ("producer.reconnect.backoff.max.ms", "300"),
            ("producer.batch.num.messages", "1"),
            ("producer.linger.ms", "0"),
            ("producer.max.in.flight", "1"),
        ],
    );
    let mut hosts = [world.host, register(&world.db.store).await];
    let leases = hosts.map(|host| watch::channel(Some(host)).0);
    let relays = [0, 1].map(|n| world.relay_as(&client, options.clone(), leases[n].subscribe()));

    let mut emitted = 0;
    for round in 0..4 {
        let leader = usize::from(world.count(&leads(hosts[0])).await == 0);
        let other = 1 - leader;
        // What librdkafka itself tries again, what the relay does, and a broker that goes.
        let again = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        mock.request_errors(RDKafkaApiKey::Produce, &[again, refused, again]);
        let emit = format!("wasaga.emit('{topic}', 'k' || n % {KEYS}, to_jsonb(n))");
        let (first, last) = (emitted + 1, emitted + 60);
        world.sql.run(&format!("select {emit} from generate_series({first}, {last}) n")).await;
        emitted = last;
        if round % 2 == 1 {
            mock.broker_down(1).expect("it goes");
        }
        // As if the leader had slept: its lease ends in the database, and it does not know.
        world.db.store.host_leave(hosts[leader]).await.expect("it leaves");
        wait_until!("the other leads", world.count(&leads(hosts[other])).await == 1);
        mock.broker_up(1).expect("it comes");
        hosts[leader] = register(&world.db.store).await;
        leases[leader].send_replace(Some(hosts[leader]));
    }
    wait_until!("everything is published", world.count(WAITING).await == 0);
    for (lease, relay) in leases.iter().zip(relays) {
        lease.send_replace(None);
        relay.stop().await;
    }
    assert!(world.sql.number("select max(attempts)::bigint from wasaga.task_out").await > 0);
    // What came twice counts once.
    let all = |seen: &[Seen]| by_key(seen).values().map(Vec::len).sum::<usize>() == emitted;
    let keys = by_key(&read_until(&broker, &topic, all));
    assert_eq!(keys.len(), KEYS);
    for (key, values) in keys {
        let numbers: Vec<usize> = values.iter().map(|n| n.parse().expect("a number")).collect();
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_transaction_before_a_later_commit() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("held"));
    let relay = world.relay(&client(&broker, &[]), quick());
    let emit =
        |key: &str, value: usize| format!("select wasaga.emit('{topic}', '{key}', '{value}')");
    let mut held = Session::open(&world.db.url).await;
    held.run("begin").await;
    held.run(&emit("held", 1)).await;
    // Long enough for reads to begin past ids that were published, if they did not heed the one that is to come.
    let since = Instant::now();
    let mut later = 0;
    while since.elapsed() < Duration::from_secs(3) {
        later += 1;
        world.sql.run(&emit("later", later)).await;
        wait_until!("the later one is published", world.count(WAITING).await == 0);
    }
    held.run(&emit("held", 2)).await;
    held.run("commit").await;
    world.sql.run(&emit("held", 3)).await;
    wait_until!("all are published", {
        world.count("task_out where status = 'ready'").await == later as i64 + 3
    });
    relay.stop().await;
    let keys = by_key(&read(&broker, &topic, later + 3));
    assert_eq!(keys["held"], ["1", "2", "3"]);
    assert_eq!(keys["later"].len(), later);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_plugin_has_gone_keeps_its_place() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("gone"));
    for value in 1..=3 {
        world.sql.run(&format!("select wasaga.emit('{topic}', 'k', '{value}')")).await;
    }
    // A plugin failed the first for now, and no plugin takes part in the topic any more.
    let failed =
        "update wasaga.task_out set due_at = now() + interval '1 hour', attempts = 1 where id = 1";
    world.sql.run(failed).await;
    let relay = world.relay(&client(&broker, &[]), quick());
    wait_until!("all are published", world.count(WAITING).await == 0);
    relay.stop().await;
    assert_eq!(by_key(&read(&broker, &topic, 3))["k"], ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_waits_until_the_lease_of_a_host_that_is_silent_has_ended() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("silent"));
    let client = client(&broker, &[]);
    let lease = Duration::from_secs(3);
    let silent = world.db.store.host_register("silent", "0", lease).await.expect("a host");
    let (kept, watched) = watch::channel(Some(silent));
    let first = world.relay_as(&client, quick(), watched);
    wait_until!("it leads", world.count(&leads(silent)).await == 1);
    // It beats no more, and does not know.
    let second = world.relay(&client, quick());
    wait_until!("the other leads", world.count(&leads(world.host)).await == 1);
    let early = format!("hosts where id = {silent} and lease_until > now()");
    assert_eq!(world.count(&early).await, 0, "it has taken what was another's still");
    world.emit(&topic, "'k'", "'1'", "null").await;
    wait_until!("it publishes", world.count(WAITING).await == 0);
    kept.send_replace(None);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_loses_its_lease_sends_nothing_of_what_it_has_queued() {
    let mut world = World::new().await;
    let (broker, topic) = (broker(), topic("purged"));
    let linger = Duration::from_secs(4);
    let lingers = client(&broker, &[("producer.linger.ms", "4000")]);
    for n in 0..20 {
        world.emit(&topic, &format!("'{n}'"), "'1'", "null").await;
    }
    // It can be no record, and ends at once: those before it were handed to the producer.
    let odd = format!("insert into wasaga.task_out (topic, headers) values ('{topic}', '{{}}')");
    world.sql.run(&odd).await;
    let first = world.relay(&lingers, quick());
    wait_until!("all are handed over", world.count("dead_letter_out").await == 1);
    let since = Instant::now();
    world.db.store.host_leave(world.host).await.expect("it leaves");
    world.lease.send_replace(None);
    let other = register(&world.db.store).await;
    let (_kept, watched) = watch::channel(Some(other));
    let second = world.relay_as(&client(&broker, &[]), quick(), watched);
    wait_until!("the other publishes them", world.count(WAITING).await == 0);
    wait_until!("the first would have sent them", since.elapsed() > linger + linger / 4);
    world.emit(&topic, "'last'", "'1'", "null").await;
    wait_until!("the last is published", world.count(WAITING).await == 0);
    first.stop().await;
    second.stop().await;
    let mut keys: Vec<_> = read(&broker, &topic, 21).into_iter().map(|seen| seen.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 21, "each came once");
}
