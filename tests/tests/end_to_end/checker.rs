//! The checker itself: it sees what is broken, or the other tests would prove nothing.

use wasaga_tests::{
    ORDER_PLUGINS, Order, World,
    check::{broken, promises},
};

/// How to break a promise, and what the checker says then. Each adds to those before it.
const SABOTAGE: [(&str, &str); 19] = [
    (
        "update plugin_inventory.stock set available = available - 1 where product_id = 'product-5'",
        "stock is a million",
    ),
    (
        "update plugin_inventory.reservations set quantity = quantity + 1 where status = 'reserved'",
        "what is reserved is what completed orders ordered",
    ),
    (
        "update plugin_payment.payments set status = 'paid'",
        "what is paid is what completed orders cost",
    ),
    (
        "update plugin_shipping.shipments set status = 'cancelled'",
        "what is shipped is the completed orders",
    ),
    (
        "insert into plugin_payment.payments (idempotency_key, order_id, customer_id, amount_cents)
         select idempotency_key || '/2', order_id, customer_id, 0 from plugin_payment.payments",
        "a service acts at most once",
    ),
    (
        "delete from wasaga.task_out where topic = 'orders.events'",
        "an order's end is published once",
    ),
    (
        "update wasaga.task_out set status = 'error' where id = (select min(id) from wasaga.task_out)",
        "the outbox is published",
    ),
    (
        "update wasaga.task_in set status = 'error' where id = (select min(id) from wasaga.task_in)",
        "in tasks are done, or in the dead letters",
    ),
    (
        "insert into wasaga.task_in (lane, status, finished_at, cluster, topic, partition, \"offset\")
         select lane, status, finished_at, cluster, topic, partition, \"offset\" from wasaga.task_in",
        "a record is taken once",
    ),
    (
        "insert into wasaga.timers select id, now() from wasaga.sagas",
        "an ended saga holds no lease and waits for nothing",
    ),
    (
        "alter table wasaga.journal disable trigger user;
         update wasaga.journal set step = case step when 'reserve_inventory' then 'process_payment'
             else 'reserve_inventory' end
         where direction = 'undo' and step is not null",
        "undo is in reverse order",
    ),
    (
        "update wasaga.journal set digest = null where number = 2",
        "only what ran has a digest",
    ),
    ("delete from wasaga.journal where number = 1", "the journal has no gaps"),
    ("delete from wasaga.journal where number = 2", "a completed saga has undone nothing"),
    (
        "insert into wasaga.journal select (jsonb_populate_record(entry, '{\"number\": 1001}')).*
         from wasaga.journal entry
         where direction = 'undo' and kind = 'succeeded' and step = 'process_payment'",
        "a step is done at most once",
    ),
    (
        "delete from wasaga.journal where direction = 'undo' and kind = 'succeeded'",
        "whatever was done is undone",
    ),
    (
        "insert into wasaga.journal select (jsonb_populate_record(entry, '{\"number\": 1002}')).*
         from wasaga.journal entry
         where direction = 'forward' and kind = 'succeeded' and step = 'process_payment'",
        "a saga that turned back goes forward no more",
    ),
    (
        "insert into wasaga.journal select (jsonb_populate_record(entry, '{\"number\": 1003}')).*
         from wasaga.journal entry where kind = 'compensated'",
        "a saga says its end once",
    ),
    (
        "update wasaga.sagas set status = 'running' where status = 'completed'",
        "a saga that was accepted ends",
    ),
];

#[tokio::test]
async fn the_checker_sees_what_is_broken() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let mut host = world.host().start().await;
    for (customer, end) in [("alice", "completed"), ("unshippable-1", "compensated")] {
        let saga = host.api.order(&Order::of(customer)).await;
        host.api.reaches(&saga, end).await;
    }
    promises(&world).await;
    host.kill9();
    for (sabotage, promise) in SABOTAGE {
        let said = |broken: &[String]| broken.iter().any(|said| said.starts_with(promise));
        assert!(!said(&broken(&world, 0).await), "{promise}: too early");
        world.run(sabotage).await;
        let broken = broken(&world, 0).await;
        assert!(said(&broken), "{promise}: not seen in\n{}", broken.join("\n"));
    }
}
