//! The order saga: to its end, and back when a step fails.

use serde_json::{Value, json};
use wasaga_tests::{Api, ORDER_PLUGINS, Order, PATIENCE, World, check::promises, eventually};

/// Step, direction and status of each item of a saga's history.
async fn told(api: &Api, saga: &str) -> Vec<String> {
    let word = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let items = api.history(saga).await;
    let line =
        |item| [word(item, "direction"), word(item, "step_name"), word(item, "status")].join(" ");
    items.iter().map(line).collect()
}

/// What the event store has of the world's only order.
async fn recorded(world: &World) -> Vec<String> {
    let events =
        "select event_type from wasaga.events where plugin = 'order-saga' order by version";
    world.texts(events).await
}

#[tokio::test]
async fn happy_path() {
    let world = World::on_kafka(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let order = Order::of("alice");

    let accepted = host.api.post("/api/v1/orders", &order.body()).await;
    let saga_id = accepted.saga();
    assert_eq!(accepted.body["order_id"], order.id());
    assert_eq!(accepted.body["status"], "pending");
    assert_eq!(accepted.body["message"], "Order creation started");

    let saga = host.api.reaches(&saga_id, "completed").await;
    assert_eq!(saga["business_key"], order.id());
    assert_eq!(saga["context"], order.body());
    assert_eq!(saga["outputs"]["process_payment"]["amount_cents"], 2 * 1999 + 10);
    // A sixth of it, rounded: prices contain a tax of 20 percent.
    assert_eq!(saga["outputs"]["complete_order"]["tax_cents"], 668);
    assert_eq!(
        told(&host.api, &saga_id).await,
        [
            "forward reserve_inventory completed",
            "forward calculate_tax completed",
            "forward process_payment completed",
            "forward create_shipment completed",
            "forward complete_order completed",
        ]
    );
    let event = "select convert_from(value, 'UTF8')::jsonb as value from wasaga.task_out
        where topic = 'orders.events'";
    let events = world.rows(event).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["value"]["order_id"], order.id());
    assert_eq!(
        recorded(&world).await,
        [
            "OrderCreated",
            "InventoryReserved",
            "PaymentProcessed",
            "ShipmentCreated",
            "OrderCompleted"
        ]
    );
    let told = "select text from plugin_notification.notifications";
    let told =
        eventually("the customer is told", PATIENCE, async || world.texts(told).await.pop()).await;
    assert!(told.contains(" for €40.08 (with €6.68 of tax) "), "{told}");
    let snapshot =
        "select version, convert_from(state, 'UTF8')::jsonb as state from wasaga.snapshots";
    let snapshot = world.rows(snapshot).await.remove(0);
    assert_eq!(
        (&snapshot["version"], &snapshot["state"]["status"]),
        (&json!(5), &json!("completed"))
    );
    promises(&world).await;

    for (name, count) in [
        ("saga_started_total", 1.0),
        ("saga_completed_total", 1.0),
        ("step_completed_total", 5.0),
        ("saga_compensated_total", 0.0),
        ("step_duration_seconds_count", 5.0),
    ] {
        assert!((host.api.metric(name).await - count).abs() < 0.5, "{name} is not {count}");
    }
}

#[tokio::test]
async fn payment_declined() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let saga_id = host.api.order(&Order::of("declined-1")).await;

    let saga = host.api.reaches(&saga_id, "compensated").await;
    assert_eq!(saga["error"]["code"], "payment-declined");
    // A declined payment did nothing: there is no refund.
    assert_eq!(
        told(&host.api, &saga_id).await,
        [
            "forward reserve_inventory completed",
            "forward calculate_tax completed",
            "forward process_payment failed",
            "undo reserve_inventory compensated",
        ]
    );
    assert_eq!(
        world.texts("select status from plugin_inventory.reservations").await,
        ["released", "released"]
    );
    assert_eq!(world.number("select count(*) from plugin_payment.payments").await, 0);
    promises(&world).await;
}

#[tokio::test]
async fn shipment_fails() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let saga_id = host.api.order(&Order::of("unshippable-1")).await;

    host.api.reaches(&saga_id, "compensated").await;
    assert_eq!(
        told(&host.api, &saga_id).await,
        [
            "forward reserve_inventory completed",
            "forward calculate_tax completed",
            "forward process_payment completed",
            "forward create_shipment failed",
            "undo process_payment compensated",
            "undo reserve_inventory compensated",
        ]
    );
    assert_eq!(world.texts("select status from plugin_payment.payments").await, ["refunded"]);
    assert_eq!(
        recorded(&world).await,
        [
            "OrderCreated",
            "InventoryReserved",
            "PaymentProcessed",
            "PaymentRefunded",
            "InventoryReleased",
            "OrderCancelled"
        ]
    );
    promises(&world).await;
}

#[tokio::test]
async fn out_of_stock() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let order = Order::of("alice").item("product-3", 1_000_001, 1.0);
    let saga_id = host.api.order(&order).await;

    // Nothing was done, so that nothing had to be undone.
    let saga = host.api.reaches(&saga_id, "failed").await;
    assert_eq!(saga["error"]["code"], "out-of-stock");
    assert_eq!(told(&host.api, &saga_id).await, ["forward reserve_inventory failed"]);
    promises(&world).await;
}

#[tokio::test]
async fn reply_never_comes() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let step = "definitions.order.steps.process_payment";
    let retry = "{ fixed = { delay_ms = 50, max_attempts = 2 } }";
    let host = world
        .host()
        .set(&format!("{step}.timeout_ms"), 1_000)
        .set(&format!("{step}.retry"), retry)
        .start()
        .await;
    let saga_id = host.api.order(&Order::of("silent-payment-1")).await;

    let saga = host.api.reaches(&saga_id, "compensated").await;
    assert_eq!(saga["error"]["code"], "no-reply");
    assert_eq!(
        world.journal(&saga_id).await,
        [
            "reserve_inventory waiting",
            "reserve_inventory succeeded",
            "calculate_tax succeeded",
            "process_payment waiting",
            "process_payment retrying",
            "process_payment waiting",
            "process_payment failed",
            "undoing",
            // It may have been paid, and it was.
            "undo process_payment waiting",
            "undo process_payment succeeded",
            "undo reserve_inventory waiting",
            "undo reserve_inventory succeeded",
            "compensated",
        ]
    );
    // Both attempts came under one key, and the service acted on it once.
    let commands =
        "select handled::text from plugin_payment.commands where kind = 'ProcessPayment'";
    assert_eq!(world.texts(commands).await, ["2"]);
    assert_eq!(world.texts("select status from plugin_payment.payments").await, ["refunded"]);
    promises(&world).await;
}

#[tokio::test]
async fn cancel_while_waiting() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let order = Order::of("silent-payment-1");
    let saga_id = host.api.order(&order).await;
    host.api.waits_in(&saga_id, "process_payment").await;

    assert_eq!(host.api.cancel(&saga_id).await.status, 202);
    let saga = host.api.reaches(&saga_id, "compensated").await;
    assert_eq!(saga["error"]["code"], "cancelled");
    // Nobody knows whether it was paid: it is undone before what is known.
    assert_eq!(
        told(&host.api, &saga_id).await,
        [
            "forward reserve_inventory completed",
            "forward calculate_tax completed",
            "forward process_payment unknown",
            "undo process_payment compensated",
            "undo reserve_inventory compensated",
        ]
    );
    promises(&world).await;
    for refused in [host.api.cancel(&saga_id).await, host.api.resume(&saga_id).await] {
        assert_eq!(refused.status, 409, "{}", refused.text);
        assert_eq!(refused.body["type"], "urn:wasaga:problem:final-saga");
    }
}

#[tokio::test]
async fn resume_after_exhausted_undo() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let retry = "{ fixed = { delay_ms = 20, max_attempts = 2 } }";
    let key = "definitions.order.steps.process_payment.undo_retry";
    let host = world.host().set(key, retry).start().await;
    let saga_id = host.api.order(&Order::of("stuck-refund-1")).await;

    let saga = host.api.reaches(&saga_id, "needs_attention").await;
    assert_eq!(saga["error"]["code"], "refund-blocked");
    assert_eq!(saga["current_step"], "process_payment");
    // Whatever comes after the stuck undo waits for it.
    assert_eq!(world.texts("select status from plugin_payment.payments").await, ["paid"]);
    assert_eq!(
        world.texts("select distinct status from plugin_inventory.reservations").await,
        ["reserved"]
    );

    // A resume in vain is one more round, not an end.
    assert_eq!(host.api.resume(&saga_id).await.status, 202);
    let tried = "select count(*) from wasaga.journal where kind = 'needs_attention'";
    eventually("it is stuck again", PATIENCE, async || {
        (world.number(tried).await == 2).then_some(())
    })
    .await;
    world.run("insert into plugin_payment.switches (name) values ('allow-refunds')").await;
    assert_eq!(host.api.resume(&saga_id).await.status, 202);
    host.api.reaches(&saga_id, "compensated").await;
    assert_eq!(world.texts("select status from plugin_payment.payments").await, ["refunded"]);
    promises(&world).await;
}

#[tokio::test]
async fn a_second_order_with_the_same_id_is_the_first() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let order = Order::of("alice");
    let saga_id = host.api.order(&order).await;
    assert_eq!(host.api.order(&order).await, saga_id);
    host.api.reaches(&saga_id, "completed").await;
    let again = host.api.post("/api/v1/orders", &order.body()).await;
    assert_eq!((again.saga(), &again.body["status"]), (saga_id, &json!("completed")));
    promises(&world).await;
}
