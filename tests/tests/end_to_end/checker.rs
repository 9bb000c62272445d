//! The checker itself: it sees what is broken, or the other tests would prove nothing.

use serde_json::json;
use wasaga_tests::{
    Host, ORDER_PLUGINS, Order, PATIENCE, Record, World,
    check::{broken_by, checks, promises},
    eventually,
};

/// What the checker says, and how to make it so, with the triggers of the tables off.
const SABOTAGE: [(&str, &str); 62] = [
    // Promise 1
    ("the journal has no gaps", "delete from wasaga.journal where number = 1"),
    ("the journal has no gaps", "delete from wasaga.journal where kind = 'completed'"),
    (
        "a step is done at most once",
        "insert into wasaga.journal select (jsonb_populate_record(entry, '{\"number\": 1001}')).*
         from wasaga.journal entry where kind = 'succeeded' and step = 'quote'",
    ),
    (
        "a saga says its end once",
        "insert into wasaga.journal select (jsonb_populate_record(entry, '{\"number\": 1001}')).*
         from wasaga.journal entry where kind = 'compensated'",
    ),
    (
        "an ended saga holds no lease and waits for nothing",
        "insert into wasaga.timers select id, now() from wasaga.sagas",
    ),
    (
        "what a step asks for is in the outbox once",
        "delete from wasaga.task_out where id = (select min(id) from wasaga.task_out where topic = 'agency.commands')",
    ),
    (
        "what a step asks for is in the outbox once",
        "insert into wasaga.task_out (saga_id, idempotency_key, topic, key)
         select saga_id, idempotency_key, topic, key from wasaga.task_out where topic = 'payment.commands'",
    ),
    (
        "each transition is published once",
        "delete from wasaga.task_out
         where id = (select max(id) from wasaga.task_out where topic = 'payout.transfers')",
    ),
    (
        "each transition is published once",
        "insert into wasaga.task_out (saga_id, idempotency_key, topic, key)
         select saga_id, idempotency_key, topic, key from wasaga.task_out where topic = 'payout.transfers'",
    ),
    (
        "each transition is handed once",
        "delete from wasaga.task_in where topic = 'wasaga:lifecycle:intake' and \"offset\" = 1",
    ),
    (
        "each transition is handed once",
        "update wasaga.task_in set \"offset\" = 7 where topic = 'wasaga:lifecycle:intake' and \"offset\" = 1",
    ),
    ("a stream's versions have no gaps", "delete from wasaga.events where version = 2"),
    ("a stream's versions have no gaps", "delete from wasaga.events where version = 5"),
    (
        "a saga that appended events has committed",
        "update wasaga.events set saga_id = gen_random_uuid()",
    ),
    // Promise 2
    ("the outbox is published", "update wasaga.task_out set status = 'error'"),
    ("in tasks are done, or in the dead letters", "update wasaga.task_in set status = 'error'"),
    (
        "what an ended saga was asked stands in its history",
        "delete from wasaga.journal where kind = 'cancelled'",
    ),
    (
        "a child's end is told its parent once",
        "insert into wasaga.children select id, parent_id from wasaga.sagas where parent_id is not null",
    ),
    (
        "a child's end is told its parent once",
        "insert into wasaga.mail select (jsonb_populate_record(piece, '{\"number\": 1001}')).*
         from wasaga.mail piece where kind = 'child'",
    ),
    (
        "a child's end is told its parent once",
        "update wasaga.mail set content = content || '{\"status\": \"failed\"}' where kind = 'child'",
    ),
    (
        "the children of a saga that turned back",
        "update wasaga.sagas set status = 'waiting' where definition = 'transfer'",
    ),
    (
        "the children of a saga that turned back",
        "delete from wasaga.mail where content ->> 'verb' = 'cancel';
         update wasaga.journal set at = at + interval '1 minute'
         where saga_id in (select id from wasaga.sagas where definition = 'transfer')",
    ),
    (
        "a saga that was accepted ends",
        "update wasaga.sagas set status = 'running' where status = 'completed'",
    ),
    ("a saga that was accepted ends", "delete from wasaga.sagas where definition = 'payday'"),
    (
        "only what must be is given up",
        "insert into wasaga.dead_letter_in
             (task_id, reason, attempts, cluster, topic, partition, \"offset\", headers)
         values (1, '{}', 1, 'c', 't', 0, 0, '[]')",
    ),
    // Promise 3
    (
        "a record is taken once",
        "insert into wasaga.task_in (lane, status, finished_at, cluster, topic, partition, \"offset\")
         select lane, status, finished_at, cluster, topic, partition, \"offset\" from wasaga.task_in",
    ),
    ("consumption resumes behind what was taken", "update wasaga.next_offsets set next = 0"),
    (
        "a business key is one saga",
        "insert into wasaga.sagas
             (id, definition, version, business_key, nonce, input_type, input, epoch, status, state)
         select gen_random_uuid(), definition, version, business_key, nonce, input_type, input, epoch, status, state
         from wasaga.sagas where definition = 'expense'",
    ),
    (
        "a service acts at most once",
        "insert into plugin_payment.payments (idempotency_key, order_id, customer_id, amount_cents)
         select idempotency_key || '/2', order_id, customer_id, 0 from plugin_payment.payments",
    ),
    (
        "a customer is told of completed orders only, and once of each",
        "insert into plugin_notification.notifications (idempotency_key, order_id, customer_id, text)
         select 'k', business_key, 'c', 't' from wasaga.sagas
         where definition = 'order' and status = 'compensated' limit 1",
    ),
    (
        "an account has what completed transfers brought",
        "update plugin_payout.accounts set cents = cents + 1 where account = 'ada'",
    ),
    (
        "whoever is registered and has a name is counted once",
        "update plugin_intake.registered set people = people + 1",
    ),
    // Promise 4
    (
        "a step begins when all that it comes after have passed",
        "update wasaga.journal set step = case step when 'car' then 'pay' else 'car' end
         where step in ('car', 'pay')",
    ),
    (
        "a step begins when all that it comes after have passed",
        "update wasaga.journal set started_at = started_at - interval '1 minute' where step = 'pay'",
    ),
    (
        "a step's undo begins when the undo of all that began after it was done has ended",
        "update wasaga.journal set step = case step when 'reserve_inventory' then 'process_payment'
             else 'reserve_inventory' end
         where direction = 'undo' and step in ('reserve_inventory', 'process_payment')",
    ),
    (
        "a step's undo begins when the undo of all that began after it was done has ended",
        "update wasaga.journal set started_at = started_at - interval '1 minute'
         where direction = 'undo' and step = 'reserve_inventory'",
    ),
    (
        // The inn, which never answered, is undone before the flight.
        "a step's undo begins when the undo of all that began after it was done has ended",
        "update wasaga.journal set step = case step when 'hotel' then 'flight' else 'hotel' end
         where direction = 'undo' and step in ('hotel', 'flight')",
    ),
    (
        "whatever was done is undone",
        "delete from wasaga.journal
         where direction = 'undo' and kind = 'succeeded' and step = 'process_payment'",
    ),
    (
        "only what began is undone",
        "delete from wasaga.journal where direction = 'forward' and step = 'flight'",
    ),
    (
        "a saga that turned back goes forward no more",
        "insert into wasaga.journal select (jsonb_populate_record(entry, '{\"number\": 1001}')).*
         from wasaga.journal entry
         where direction = 'forward' and kind = 'succeeded' and step = 'process_payment'",
    ),
    (
        "a completed saga has undone nothing",
        "delete from wasaga.journal where step = 'ticket'",
    ),
    (
        "a completed saga has undone nothing",
        "update wasaga.journal set direction = 'undo' where step = 'complete_order'",
    ),
    (
        "nothing is undone past a pivot",
        "update wasaga.journal set kind = 'undoing' where step = 'ticket'",
    ),
    (
        "only a guarded step is skipped",
        "update wasaga.journal set step = 'pay_out' where kind = 'skipped'",
    ),
    (
        "only a guarded step is skipped",
        "insert into wasaga.journal
         select (jsonb_populate_record(entry, '{\"number\": 1001, \"kind\": \"succeeded\"}')).*
         from wasaga.journal entry where kind = 'skipped'",
    ),
    (
        "stock is a million",
        "update plugin_inventory.stock set available = available - 1 where product_id = 'product-5'",
    ),
    (
        "what is reserved is what completed orders ordered",
        "update plugin_inventory.reservations set quantity = quantity + 1 where status = 'reserved'",
    ),
    (
        "what is paid is what completed orders cost",
        "update plugin_payment.payments set status = 'paid'",
    ),
    (
        "what is shipped is the completed orders",
        "update plugin_shipping.shipments set status = 'cancelled'",
    ),
    ("an order's end is published once", "delete from wasaga.task_out where topic = 'orders.events'"),
    (
        "a trip has its bookings when it is completed",
        "update plugin_agency.bookings set status = 'booked'",
    ),
    ("a trip has its bookings when it is completed", "delete from plugin_agency.bookings"),
    (
        "an expense is paid when its saga is completed",
        "update plugin_approval.expenses set status = 'earmarked'",
    ),
    (
        "all accounts together have a million cents",
        "update plugin_payout.accounts set cents = cents - 1 where account = 'till'",
    ),
    (
        "what is published of transfers is written down",
        "delete from plugin_payout.transfer_events where event = 'started'",
    ),
    // Promise 5
    (
        "an attempt ends once",
        "insert into wasaga.journal
         select (jsonb_populate_record(entry, '{\"number\": 1001, \"kind\": \"failed\"}')).*
         from wasaga.journal entry where kind = 'succeeded' and step = 'quote'",
    ),
    // Promise 6
    (
        "a saga's messages of one key are published in the order",
        "update wasaga.task_in set \"offset\" = 1000 - \"offset\" where topic = 'agency.commands'",
    ),
    (
        "records of one key are handled in their order",
        "update wasaga.task_in set finished_at = finished_at - \"offset\" * interval '1 minute'
         where topic = 'agency.commands'",
    ),
    // Promise 7
    (
        "what a guest returned is within its bounds",
        "update wasaga.journal set output = convert_to(repeat('x', 1048577), 'UTF8')
         where output is not null",
    ),
    // Promise 8
    (
        "only what ran has a digest",
        "update wasaga.journal set digest = null where kind = 'succeeded'",
    ),
    ("only what ran has a digest", "update wasaga.journal set digest = sha256(digest)"),
    (
        "a saga's definition is known",
        "update wasaga.sagas set version = 7 where definition = 'trip'",
    ),
];

#[tokio::test]
async fn the_checker_sees_what_is_broken() {
    let examples = ["trip-rust", "agency-rust", "approval-rust", "payout-rust", "intake-rust"];
    let world = World::embedded(&[&ORDER_PLUGINS[..], &examples].concat()).await;
    let mut host = world.host().start().await;
    runs(&world, &host).await;
    promises(&world).await;
    host.kill9();

    for (check, statements) in SABOTAGE {
        let broken = broken_by(&world, statements, 0).await;
        let says = broken.iter().any(|said| said.contains(check));
        assert!(says, "{check}: not seen in\n{}", broken.join("\n"));
    }
    for check in checks(&world).await {
        let is_tried = SABOTAGE.iter().any(|(tried, _)| check.starts_with(tried));
        assert!(is_tried, "nothing tries to break this: {check}");
    }
}

/// Sagas of every kind that the checks are about.
async fn runs(world: &World, host: &Host) {
    let api = &host.api;
    let trip = |id: &str, hotel: &str, car: &str| json!({"trip_id": id, "traveller": "ada", "card": "visa", "flight": "LH-1", "hotel": hotel, "car": car});
    let orders = ["alice", "unshippable-1"].map(Order::of);
    assert_eq!(api.orders(&orders).await, orders.len());
    // Until the broker has let the host in, no trip is booked in time.
    world.all_end().await;
    let small = json!({"expense_id": "small", "employee": "ada", "cents": 100, "cool_off_ms": 0});
    api.post("/api/v1/expenses", &small).await.saga();
    for trip in [trip("good", "ritz", "mini"), trip("sold-out", "ritz", "sold-out")] {
        api.post("/api/v1/trips", &trip).await.saga();
    }
    let silent = api.post("/api/v1/trips", &trip("silent", "silent", "mini")).await.saga();
    eventually("all but the hotel are booked", PATIENCE, async || {
        let outputs = api.saga(&silent).await["outputs"].clone();
        (outputs["flight"].is_object() && outputs["car"].is_object()).then_some(())
    })
    .await;
    api.cancel(&silent).await;
    let form = json!({"form": {"id": "f-1"}, "name": "ada"});
    world.produce(&[Record::new("intake.forms", "f-1", &form)]).await;
    let near = json!({"only": ["ada"]});
    let payday = api.start("payday", "near", &near).await;
    api.reaches(&payday, "completed").await;

    let abroad = json!({"only": ["ada", "foreign-dora"]});
    let payday = api.start("payday", "abroad", &abroad).await;
    let transfer = "select id::text from wasaga.sagas where business_key = 'abroad/foreign-dora'";
    let transfer = eventually("the transfer has started", PATIENCE, async || {
        world.texts(transfer).await.pop()
    })
    .await;
    api.waits_in(&transfer, "credit").await;
    api.cancel(&payday).await;
    let registered = "select count(*) from plugin_intake.registered";
    eventually("the form is registered", PATIENCE, async || {
        (world.number(registered).await == 1).then_some(())
    })
    .await;
}
