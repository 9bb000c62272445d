//! Hosts that are killed, frozen and stopped, on a real Kafka, since an embedded broker ends with its host.

use std::time::Duration;

use serde_json::json;
use wasaga_tests::{Host, ORDER_PLUGINS, Order, PATIENCE, World, check::promises, eventually};

/// How many of a test's sagas must be under way when something happens to their host.
const IN_FLIGHT: i64 = 50;

/// How many sagas the host has brought to their end.
async fn ended_by(host: &Host) -> f64 {
    let mut ended = 0.0;
    for name in ["saga_completed_total", "saga_compensated_total", "saga_failed_total"] {
        ended += host.api.metric(name).await;
    }
    ended
}

#[tokio::test]
async fn host_killed_with_50_of_200_in_flight() {
    let world = World::on_kafka(&ORDER_PLUGINS).await;
    let options = world.host();
    let mut host = options.start().await;
    // Some are at their end when it happens, some in the middle, some at their beginning.
    let first = Order::mixed(40);
    assert_eq!(host.api.orders(&first).await, first.len());
    eventually("the first have ended", PATIENCE, async || {
        (world.in_flight().await < 20).then_some(())
    })
    .await;
    let rest = Order::mixed(160);
    assert_eq!(host.api.orders(&rest).await, rest.len());
    host.kill9();
    let in_flight = world.in_flight().await;
    assert!(in_flight >= IN_FLIGHT, "only {in_flight} were in flight");

    let _host = options.start().await;
    world.all_end().await;
    promises(&world).await;
    assert_eq!(world.number("select count(*) from wasaga.sagas").await, 200);
}

#[tokio::test]
async fn two_hosts_on_one_database() {
    let world = World::on_kafka(&ORDER_PLUGINS).await;
    let (mut one, two) = (world.host().start().await, world.host().start().await);
    let post = async |count: usize| {
        let orders = Order::mixed(count);
        let (some, others) = orders.split_at(count / 2);
        let accepted = futures::join!(one.api.orders(some), two.api.orders(others));
        assert_eq!(accepted.0 + accepted.1, count);
    };
    post(100).await;
    world.all_end().await;
    for host in [&one, &two] {
        let ended = ended_by(host).await;
        assert!(ended >= 20.0, "one host ended only {ended} of 100");
    }

    post(100).await;
    one.kill9();
    let in_flight = world.in_flight().await;
    assert!(in_flight >= IN_FLIGHT, "only {in_flight} were in flight");
    world.all_end().await;
    promises(&world).await;
}

#[tokio::test]
async fn a_frozen_host_commits_nothing_of_what_was_taken_over() {
    let plugins = [&ORDER_PLUGINS[..], &["probe-rust"]].concat();
    let world = World::on_kafka(&plugins).await;
    // What its guests have locked, they keep until Postgres ends them, some time after their attempts' deadlines.
    let mut options = world.host().set("flows.in_timeout_ms", 3_000);
    let steps = [
        "reserve_inventory",
        "calculate_tax",
        "process_payment",
        "create_shipment",
        "complete_order",
    ];
    for step in steps {
        options = options.set(&format!("definitions.order.steps.{step}.timeout_ms"), 5_000);
    }
    let frozen = options.start().await;
    let orders = Order::mixed(60);
    assert_eq!(frozen.api.orders(&orders).await, orders.len());
    // Guests that are in the middle of their work when time stops for their host.
    let script = json!({"steps": {"b": [{"do": "spin", "ms": 1500}]}});
    let probes = frozen.api.probes(&vec![script; 4]).await;
    eventually("a guest is at work", PATIENCE, async || {
        let held = world
            .number(
                "select count(*) from wasaga.sagas s
                 where s.definition = 'probe' and s.host_id is not null
                   and (select array_agg(j.step) from wasaga.journal j where j.saga_id = s.id) = '{a}'",
            )
            .await;
        (held > 0).then_some(())
    })
    .await;
    frozen.freeze();
    let lives = world.number("select max(id) from wasaga.hosts").await;
    let held = format!("select count(*) from wasaga.sagas where host_id = {lives}");
    assert!(world.number(&held).await > 0, "it holds leases");

    let other = world.host().start().await;
    world.all_end().await;
    for probe in &probes {
        other.api.reaches(probe, "completed").await;
    }
    let taken_over = "select count(*) from wasaga.journal
        where step = 'b' and kind = 'succeeded' and attempt > 1";
    assert!(world.number(taken_over).await > 0, "what it was doing was done by the other");
    promises(&world).await;
    let journal = "select count(*) from wasaga.journal";
    let (entries, messages) = (journal, "select count(*) from wasaga.task_out");
    let before = (world.number(entries).await, world.number(messages).await);

    frozen.thaw();
    frozen.logged("registered again").await;
    let lives_now = world.number("select max(id) from wasaga.hosts").await;
    assert!(lives_now > lives + 1, "it goes on under a new id");
    // It works again, and what it does now is committed after whatever it might have written before.
    let order = Order::of("alice");
    let saga = frozen.api.order(&order).await;
    other.api.reaches(&saga, "completed").await;
    promises(&world).await;
    let of_new = |table: &str| format!("select count(*) from {table} where saga_id = '{saga}'");
    let new_entries = world.number(&of_new("wasaga.journal")).await;
    assert_eq!(world.number(entries).await, before.0 + new_entries);
    frozen.stop(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn graceful_stop() {
    let world = World::on_kafka(&ORDER_PLUGINS).await;
    let options = world.host();
    let host = options.start().await;
    let orders = Order::mixed(100);
    assert_eq!(host.api.orders(&orders).await, orders.len());
    // Under load: these come while it stops, and whatever it accepts of them, it keeps.
    let api = host.api.clone();
    let late = Order::mixed(50);
    let ((), _) = futures::join!(host.stop(Duration::from_secs(20)), api.orders(&late));
    assert_eq!(
        world.number("select count(*) from wasaga.hosts").await,
        0,
        "its lease is given back"
    );
    assert!(world.in_flight().await > 0, "it did not wait for all sagas to end");

    let _host = options.start().await;
    world.all_end().await;
    promises(&world).await;
}
