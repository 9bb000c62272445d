//! What messages may do: come twice, early, late, in the wrong order, at the same moment, and make no sense.

use serde_json::{Value, json};
use wasaga_tests::{
    ORDER_PLUGINS, Order, PATIENCE, Record, World,
    check::{promises, promises_with},
    eventually,
};

/// A step that waits for a message with this correlation.
fn waits_for(correlation: &str) -> Value {
    json!({"do": "wait", "topic": "probe.replies", "correlation": correlation})
}

fn reply(correlation: &str) -> Record {
    Record::new("probe.replies", correlation, &json!({"said": correlation}))
        .header("correlation-id", correlation)
}

#[tokio::test]
async fn duplicate_and_early_reply() {
    let plugins = [&ORDER_PLUGINS[..], &["probe-rust"]].concat();
    let world = World::embedded(&plugins).await;
    let host = world.host().start().await;

    // Twice, and before anybody waits.
    world.produce(&[reply("early"), reply("early")]).await;
    let arrived = "select count(*) from wasaga.waits
        where correlation = 'early' and cardinality(arrived_keys) = 2";
    eventually("both replies are kept", PATIENCE, async || {
        (world.number(arrived).await == 1).then_some(())
    })
    .await;
    let early = host.api.probe(&json!({"steps": {"a": [waits_for("early")]}})).await;
    let saga = host.api.reaches(&early, "completed").await;
    assert_eq!(saga["outputs"]["a"]["arrived"]["value"]["said"], "early");

    // Replies and commands once more, after all is done.
    let order = Order::of("alice");
    let saga_id = host.api.order(&order).await;
    host.api.reaches(&saga_id, "completed").await;
    let before = world.journal(&saga_id).await;
    for topic in ["payment.replies", "payment.commands"] {
        world.produce_again(topic, order.id()).await;
    }
    let handled = "select count(*) from plugin_payment.commands where handled = 2";
    eventually("the second command is handled", PATIENCE, async || {
        (world.number(handled).await == 1).then_some(())
    })
    .await;
    promises(&world).await;
    assert_eq!(world.journal(&saga_id).await, before);
}

#[tokio::test]
async fn late_do_after_undo() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let _host = world.host().start().await;
    let acts = json!({"order_id": "late", "customer_id": "alice", "amount_cents": 100});
    let undoes = json!({"order_id": "late", "acted": null});
    let act = |key| Record::command("payment.commands", "ProcessPayment", "late", key, &acts);
    let undo = Record::command("payment.commands", "RefundPayment", "late", "1/undo", &undoes)
        .header("forward-key", "1");

    // The undo overtakes its do, which is refused then; another one is done once, and answered twice the same.
    world.produce(&[undo, act("1"), act("2"), act("2")]).await;
    let replies = "select (select h->>1 from jsonb_array_elements(headers) h where h->>0 = 'message-type')
            || ' ' || coalesce(convert_from(value, 'UTF8')::jsonb->>'payment_id',
                convert_from(value, 'UTF8')::jsonb->>'code', convert_from(value, 'UTF8')::jsonb->>'had_acted')
        from wasaga.task_out where topic = 'payment.replies' order by id";
    let replies = eventually("all four are answered", PATIENCE, async || {
        let replies = world.texts(replies).await;
        (replies.len() == 4).then_some(replies)
    })
    .await;
    let payments = world.texts("select payment_id::text from plugin_payment.payments").await;
    assert_eq!(payments.len(), 1, "only the second do was done");
    let processed = format!("PaymentProcessed {}", payments[0]);
    assert_eq!(
        replies,
        ["PaymentRefunded false", "PaymentFailed already-undone", &processed, &processed]
    );
    let handled =
        "select idempotency_key || ' ' || handled from plugin_payment.commands order by 1";
    assert_eq!(world.texts(handled).await, ["1 1", "1/undo 1", "2 2"]);
    promises(&world).await;
}

#[tokio::test]
async fn reply_and_wait_at_the_same_time() {
    let plugins = [&ORDER_PLUGINS[..], &["probe-rust"]].concat();
    let world = World::embedded(&plugins).await;
    let host = world.host().start().await;
    // A step that answers itself: its reply is committed with its wait.
    let step = json!({
        "do": "wait", "topic": "probe.replies", "correlation": "$key",
        "send": [{
            "topic": "probe.replies", "key": "$key", "headers": {"correlation-id": "$key"}, "value": "$key",
        }],
    });
    let script = json!({"steps": {"a": [step], "b": [step], "c": [step]}});
    let probes = host.api.probes(&vec![script; 100]).await;
    let orders: Vec<_> = (0..100).map(|n| Order::of(&format!("customer-{n}"))).collect();
    assert_eq!(host.api.orders(&orders).await, orders.len());

    promises(&world).await;
    let completed = "select count(*) from wasaga.sagas where status = 'completed'";
    assert_eq!(world.number(completed).await, (probes.len() + orders.len()) as i64);
}

#[tokio::test]
async fn undecodable_record_goes_to_dead_letters() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let order = Order::of("alice");
    let nothing = json!({});
    let command =
        |kind, key| Record::command("inventory.commands", kind, order.id(), key, &nothing);
    world
        .produce(&[
            Record::new("inventory.commands", order.id(), &nothing),
            command("ReserveInventory", "not-json").text("{\"order_id\": "),
            command("TakeOverTheWorld", "not-known"),
            Record::new("payment.replies", order.id(), &nothing),
        ])
        .await;
    let reasons = "select topic || ': ' || (reason->>'code') || ': ' || (reason->>'message')
        from wasaga.dead_letter_in order by 1";
    let reasons = eventually("all four are dead letters", PATIENCE, async || {
        let reasons = world.texts(reasons).await;
        (reasons.len() == 4).then_some(reasons)
    })
    .await;
    for told in ["message-type", "not JSON", "TakeOverTheWorld", "correlation-id"] {
        assert!(reasons.iter().any(|reason| reason.contains(told)), "{reasons:?}: no {told}");
    }
    // The same key is not held up by them.
    let saga_id = host.api.order(&order).await;
    host.api.reaches(&saga_id, "completed").await;
    promises_with(&world, 4).await;
}
