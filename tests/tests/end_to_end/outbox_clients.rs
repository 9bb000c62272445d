//! examples/outbox: an application in each language writes an order and emits a message in one transaction.

use serde_json::json;
use wasaga_store::testing_sql::Session;
use wasaga_tests::{PATIENCE, Program, World, environment, eventually, example};

/// Places orders by the command that `place` makes of an order's id and its cents: one, the same again, and one that
/// is refused after its message was emitted.
async fn orders_are_placed(program: Program, place: impl Fn(&str, &str) -> Vec<String>) {
    let world = World::embedded(&[]).await;
    let url = world.application("wasaga.emit, wasaga.emit_many").await;
    let program = program.set("DATABASE_URL", &url);
    Session::open(&url).await.run(&example("outbox/orders.sql")).await;
    let brokers = json!(environment::kafka());
    let _host = world.host().unset("kafka.embedded").set("kafka.brokers", brokers).start().await;
    let place = async |order, cents| {
        let command = place(order, cents);
        program.ends(&command.iter().map(String::as_str).collect::<Vec<_>>()).await
    };

    let placed = place("o-1", "1200").await.expect("the order is placed");
    let ids = "select id::text from wasaga.task_out";
    let id = world.texts(ids).await.concat();
    assert!(placed.contains(&format!("order o-1 is placed: message {id}\n")), "{placed}");
    let again = place("o-1", "1200").await.expect("the same is no error");
    assert_eq!(again, placed, "the second is the first");
    let refused = place("o-2", "0").await.expect_err("an order without a price is refused");
    assert!(refused.contains("orders_cents_check"), "{refused}");
    assert_eq!(world.texts(ids).await, [id], "and sends nothing");

    let messages = "select concat_ws(' ', status, topic, convert_from(key, 'UTF8'),
            convert_from(value, 'UTF8')::jsonb, idempotency_key, aggregate_id, event_type)
        from wasaga.task_out";
    let published = "ready orders.placed o-1 {\"cents\": 1200, \"order_id\": \"o-1\"} place o-1 o-1 order.placed";
    eventually("the one message is published", PATIENCE, async || {
        (world.texts(messages).await == [published]).then_some(())
    })
    .await;
    assert_eq!(world.texts("select order_id from shop.orders").await, ["o-1"]);
}

fn words(command: &str, order: &str, cents: &str) -> Vec<String> {
    command.split(' ').chain([order, cents]).map(str::to_owned).collect()
}

#[tokio::test]
async fn psql() {
    let program = Program::of("outbox/psql", &[("psql", "postgresql-client")]);
    orders_are_placed(program, |order, cents| {
        let script =
            "psql \"$DATABASE_URL\" -qAt -v ON_ERROR_STOP=1 -v order=$0 -v cents=$1 -f place.sql";
        ["sh", "-c", script, order, cents].map(str::to_owned).to_vec()
    })
    .await;
}

#[tokio::test]
async fn python() {
    let program = Program::of("outbox/python", &[("python3", "python3-venv")]);
    program.run(&["python3", "-m", "venv", ".venv"]).await;
    program.run(&["./.venv/bin/pip", "install", "--quiet", "-r", "requirements.txt"]).await;
    orders_are_placed(program, |order, cents| words("./.venv/bin/python place.py", order, cents))
        .await;
}

#[tokio::test]
async fn node() {
    let program = Program::of("outbox/node", &[("node", "nodejs"), ("npm", "npm")]);
    program.run(&["npm", "install", "--no-audit", "--no-fund"]).await;
    orders_are_placed(program, |order, cents| words("node place.js", order, cents)).await;
}

#[tokio::test]
async fn go() {
    let program = Program::of("outbox/go", &[("go", "golang-go")]);
    program.run(&["go", "build", "-o", "place", "."]).await;
    orders_are_placed(program, |order, cents| words("./place", order, cents)).await;
}

#[tokio::test]
async fn java() {
    let needs = [("javac", "default-jdk-headless"), ("mvn", "maven")];
    let program = Program::of("outbox/java", &needs);
    let fetch = ["mvn", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=lib"];
    program.run(&fetch).await;
    orders_are_placed(program, |order, cents| words("java -cp lib/* Place.java", order, cents))
        .await;
}

/// A program of this workspace.
fn built(name: &str) -> String {
    let program = environment::host().with_file_name(name);
    assert!(program.exists(), "{}: build it by `cargo build --release --bins`", program.display());
    program.to_string_lossy().into_owned()
}

#[tokio::test]
async fn rust() {
    let program = built("wasaga-example-outbox");
    orders_are_placed(Program::of("outbox/rust", &[]), |order, cents| {
        words(&program, order, cents)
    })
    .await;
}

#[tokio::test]
async fn rust_client() {
    let program = built("wasaga-example-outbox-client");
    orders_are_placed(Program::of("outbox/rust-client", &[]), |order, cents| {
        words(&program, order, cents)
    })
    .await;
}

#[tokio::test]
async fn rust_client_relays_without_a_host() {
    let client = built("wasaga-example-outbox-client");
    let world = World::embedded(&[]).await;
    let url = world.application("wasaga.emit_many").await;
    Session::open(&url).await.run(&example("outbox/orders.sql")).await;
    let program = Program::of("outbox/rust-client", &[]);
    let owner = Program::of("outbox/rust-client", &[])
        .set("DATABASE_URL", world.database_url())
        .set("KAFKA_BROKERS", &environment::kafka());
    program.set("DATABASE_URL", &url).run(&[&client, "o-1", "1200"]).await;
    let _relay = owner.start(&[&client, "relay"]);
    eventually("the message is published", PATIENCE, async || {
        (world.texts("select status from wasaga.task_out").await == ["ready"]).then_some(())
    })
    .await;
}
