//! examples/outbox/services: a service that is no plugin answers a saga's commands.

use serde_json::{Value, json};
use wasaga_store::testing_sql::Session;
use wasaga_tests::{Order, PATIENCE, Program, World, eventually, example};

#[tokio::test]
async fn a_python_service_answers_the_order_saga() {
    let program = Program::of("outbox/services", &[("python3", "python3-venv")]);
    program.run(&["python3", "-m", "venv", ".venv"]).await;
    program.run(&["./.venv/bin/pip", "install", "--quiet", "-r", "requirements.txt"]).await;
    let plugins = ["order-saga-rust", "inventory-rust", "tax-c", "shipping-javascript"];
    let world = World::on_kafka(&plugins).await;
    let url = world.application("wasaga.accept, wasaga.emit").await;
    let kafka = world.kafka.as_ref().expect("the world has one").bootstrap();
    let program = program.set("DATABASE_URL", &url).set("KAFKA_BROKERS", &kafka);
    Session::open(&url).await.run(&example("outbox/services/payments.sql")).await;
    let host = world.host().start().await;
    let service = ["./.venv/bin/python", "payment.py"];
    let running = program.start(&service);

    let orders = ["alice", "declined", "unshippable"].map(Order::of);
    let mut sagas = Vec::new();
    for order in &orders {
        sagas.push(host.api.order(order).await);
    }
    for (saga, status) in sagas.iter().zip(["completed", "compensated", "compensated"]) {
        host.api.reaches(saga, status).await;
    }
    let payments = "select order_id || ' ' || status from shop.payments order by status";
    let [paid, _, refunded] = orders.each_ref().map(Order::id);
    assert_eq!(
        world.texts(payments).await,
        [format!("{paid} paid"), format!("{refunded} refunded")]
    );

    // The same record once more is not accepted; the same command as a new message is answered, and not done again.
    drop(running);
    world
        .run(&format!(
            "update wasaga.task_out set status = 'wait', finished_at = null
             where topic = 'payment.commands' and key = convert_to('{paid}', 'UTF8')"
        ))
        .await;
    world.produce_again("payment.commands", paid).await;
    let _running = program.start(&service);
    let handled = format!(
        "select count(*) from wasaga.accepted a join wasaga.task_out t on t.message_id::text = a.message_id
         where t.topic = 'payment.commands' and t.key = convert_to('{paid}', 'UTF8')"
    );
    eventually("the second message is handled", PATIENCE, async || {
        (world.number(&handled).await == 2).then_some(())
    })
    .await;
    let replies = format!(
        "select convert_from(value, 'UTF8') from wasaga.task_out
         where topic = 'payment.replies' and key = convert_to('{paid}', 'UTF8') order by id"
    );
    let replies = world.texts(&replies).await;
    assert_eq!(replies.len(), 2, "{replies:?}");
    let parsed = |text: &String| -> Value { serde_json::from_str(text).expect("it is JSON") };
    assert_eq!(parsed(&replies[0]), parsed(&replies[1]), "the same answer");
    assert_eq!(parsed(&replies[0])["order_id"], json!(paid));
    let paid_once = format!("select count(*) from shop.payments where order_id = '{paid}'");
    assert_eq!(world.number(&paid_once).await, 1);
}
