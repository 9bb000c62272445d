//! Brokers and databases that go away and come back.

use wasaga_services::Kafka;
use wasaga_tests::{ORDER_PLUGINS, Order, PATIENCE, World, check::promises, eventually};

fn kafka(world: &mut World) -> &mut Kafka {
    world.kafka.as_mut().expect("it has one")
}

#[tokio::test]
async fn broker_down_at_start_and_restarted_in_the_middle() {
    let mut world = World::on_kafka(&ORDER_PLUGINS).await;
    kafka(&mut world).stop().expect("Kafka stops");
    let mut host = world.host().spawn();

    let unready = eventually("it says what it lacks", PATIENCE, async || {
        let answer = host.api.try_get("/readyz").await?;
        let checks = &answer.body["checks"];
        (checks["database"]["status"] == "ready" && checks["plugins"]["status"] == "ready")
            .then_some(answer)
    })
    .await;
    assert_eq!(unready.status, 503);
    assert_eq!(unready.body["checks"]["broker"]["status"], "not_ready");
    assert!(unready.body["checks"]["broker"]["reason"].is_string(), "{}", unready.text);
    assert_eq!(host.api.get("/healthz").await.status, 200);
    // It takes orders, which wait in the outbox.
    let early = host.api.order(&Order::of("early")).await;
    host.api.waits_in(&early, "reserve_inventory").await;

    kafka(&mut world).start_again().expect("Kafka starts");
    host.ready().await;
    host.api.reaches(&early, "completed").await;

    let orders = Order::mixed(40);
    assert_eq!(host.api.orders(&orders).await, orders.len());
    kafka(&mut world).kill9().expect("Kafka is killed");
    let more = Order::mixed(20);
    assert_eq!(host.api.orders(&more).await, more.len());
    assert!(world.in_flight().await > 0);
    kafka(&mut world).start_again().expect("Kafka starts");
    world.all_end().await;
    promises(&world).await;
}

#[tokio::test]
async fn postgres_restarted_in_the_middle() {
    let mut world = World::on_postgres(&ORDER_PLUGINS).await;
    // So that a refusal comes while Postgres is away.
    let mut host = world.host().set("database.acquire_timeout_ms", 300).start().await;
    let first = host.api.order(&Order::of("alice")).await;
    host.api.reaches(&first, "completed").await;

    // Once by an operator, once by a crash.
    for crash in [false, true] {
        let orders = Order::mixed(60);
        assert_eq!(host.api.orders(&orders).await, orders.len());
        assert!(world.in_flight().await > 0);
        let postgres = world.postgres.as_mut().expect("it is the test's own");
        if crash {
            postgres.kill9().expect("Postgres is killed");
        } else {
            postgres.stop().expect("Postgres stops");
        }
        let refused = host.api.post("/api/v1/orders", &Order::of("nobody").body()).await;
        assert_eq!(refused.status, 503, "{}", refused.text);
        postgres.start_again().expect("Postgres starts");
        host.ready().await;
        world.all_end().await;
    }
    promises(&world).await;
}
