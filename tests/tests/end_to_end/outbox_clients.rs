//! examples/outbox: an application in each language writes an order and emits messages in one transaction.

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};
use wasaga_kafka::{
    ClientOptions,
    testing::{Place, Reader},
};
use wasaga_services::PgBouncer;
use wasaga_store::testing_sql::Session;
use wasaga_tests::{PATIENCE, Program, World, environment, eventually, example};

/// What is ordered: the second has to be quoted, in SQL and in JSON.
const PRODUCTS: [&str; 2] = ["pen", "a \"writer's\" ink"];

const IDS: &str = "select id::text from wasaga.task_out order by id";
const UNPUBLISHED: &str = "select count(*) from wasaga.task_out where status <> 'ready'";
const MESSAGES: &str =
    "select topic, convert_from(key, 'UTF8') as key, convert_from(value, 'UTF8')::jsonb as value,
        headers, idempotency_key, aggregate_id, event_type
    from wasaga.task_out order by id";
/// Tables and views of wasaga's, of which the shop must have none.
const OPEN_TO_THE_SHOP: &str = "select relname::text from pg_class
    where relnamespace = 'wasaga'::regnamespace and relkind in ('r', 'p', 'v', 'm')
        and has_table_privilege('shop', oid, 'select, insert, update, delete')";

/// A world set up as the example says, and the url by which the shop connects. Its role belongs to the server: so that is
/// the world's own.
async fn set_up() -> (World, String) {
    let world = World::on_postgres(&[]).await;
    world.run(&example("outbox/setup.sql")).await;
    let (_, server) = world.database_url().split_once('@').expect("the url names a user");
    let url = format!("postgres://shop:shop@{server}");
    Session::open(&url).await.run(&example("outbox/orders.sql")).await;
    (world, url)
}

async fn all_is_published(world: &World) {
    eventually("all messages are published", PATIENCE, async || {
        (world.number(UNPUBLISHED).await == 0).then_some(())
    })
    .await;
}

/// The records of these messages, in the order in which Kafka has them. Others write to it too.
fn read(topic: &str, message_ids: &[String]) -> Vec<Value> {
    let brokers = BTreeMap::from([("bootstrap.servers".to_owned(), environment::kafka())]);
    let client = ClientOptions::new(brokers).expect("the options fit");
    let reader = Reader::new(&client, topic, Place::Start).expect("the broker answers");
    let began = Instant::now();
    let mut records = Vec::new();
    while records.len() < message_ids.len() {
        assert!(began.elapsed() < PATIENCE, "{topic}: of {message_ids:?} came {records:?}");
        let Some(seen) = reader.next_whole().expect("the topic can be read") else { continue };
        assert_ne!(seen.key.as_deref(), Some("o-2"), "{topic}: that order was refused");
        let is_id =
            |(name, id): &(String, String)| name == "message-id" && message_ids.contains(id);
        if seen.headers.iter().any(is_id) {
            let value: Value = serde_json::from_str(&seen.value).expect("its value is JSON");
            records.push(json!({"key": seen.key, "headers": seen.headers, "value": value}));
        }
    }
    records
}

/// How an application connects to a pooler, as docs/outbox.md says.
enum Pooled {
    /// By its url, and this behind it.
    By(&'static str),
    /// By another way of beginning a transaction: the client crate's tests have it.
    Otherwise,
}

/// Places orders by the command that `place` makes of an order's id and its cents: one, the same again, also through a
/// pooler, and one that is refused after its messages were emitted.
async fn orders_are_placed(
    program: Program,
    pooled: Pooled,
    place: impl Fn(&str, &str) -> Vec<String>,
) {
    let (world, url) = set_up().await;
    let program = program.set("DATABASE_URL", &url);
    let brokers = json!(environment::kafka());
    let _host = world.host().unset("kafka.embedded").set("kafka.brokers", brokers).start().await;
    let place = async |program: &Program, order, cents| {
        let command = place(order, cents);
        program.ends(&command.iter().map(String::as_str).collect::<Vec<_>>()).await
    };

    let placed = place(&program, "o-1", "1200").await.expect("the order is placed");
    let ids = world.texts(IDS).await;
    let told = placed.split_once("order o-1 is placed: messages ").expect(&placed).1;
    // Each language writes a list in its own way.
    let told = told.split(|c: char| !c.is_ascii_digit()).filter(|id| !id.is_empty());
    assert_eq!(told.collect::<Vec<_>>(), ids, "{placed}");
    let again = place(&program, "o-1", "1200").await.expect("the same is no error");
    assert_eq!(again, placed, "the second is the first");
    let refused =
        place(&program, "o-2", "0").await.expect_err("an order without a price is refused");
    assert!(refused.contains("orders_cents_check"), "{refused}");
    assert_eq!(world.texts(IDS).await, ids, "neither of them sends anything");

    all_is_published(&world).await;
    let line = |n: usize| {
        let product = PRODUCTS[n - 1];
        json!({
            "topic": "orders.lines",
            "key": "o-1",
            "value": {"line": n, "product": product},
            "headers": [["product", product]],
            "idempotency_key": format!("place o-1 line {n}"),
            "aggregate_id": null,
            "event_type": null,
        })
    };
    let order = json!({
        "topic": "orders.placed",
        "key": "o-1",
        "value": {"order_id": "o-1", "cents": 1200},
        "headers": [],
        "idempotency_key": "place o-1",
        "aggregate_id": "o-1",
        "event_type": "order.placed",
    });
    let messages = [order, line(1), line(2)];
    assert_eq!(world.rows(MESSAGES).await, messages);
    let ids = world.texts("select message_id::text from wasaga.task_out order by id").await;
    let record = |(message, id): (&Value, &String)| {
        let mut headers = message["headers"].as_array().cloned().unwrap_or_default();
        headers.push(json!(["message-id", id]));
        headers.push(json!(["idempotency-key", message["idempotency_key"]]));
        json!({"key": message["key"], "headers": headers, "value": message["value"]})
    };
    let records: Vec<_> = messages.iter().zip(&ids).map(record).collect();
    assert_eq!(read("orders.placed", &ids[..1]), records[..1]);
    assert_eq!(read("orders.lines", &ids[1..]), records[1..]);
    let orders = "select order_id, cents, products from shop.orders";
    let stored = json!({"order_id": "o-1", "cents": 1200, "products": PRODUCTS});
    assert_eq!(world.rows(orders).await, [stored]);

    if let Pooled::By(options) = pooled {
        let bouncer = PgBouncer::start(world.database_url(), 1).expect("PgBouncer starts");
        let by_it = bouncer.url(&url).expect("it is on loopback") + options;
        let program = program.set("DATABASE_URL", &by_it);
        // The second finds the server connection as the first has left it.
        for _ in 0..2 {
            let again = place(&program, "o-1", "1200").await.expect("it is placed already");
            assert_eq!(again, placed);
        }
    }
}

fn words(command: &str, order: &str, cents: &str) -> Vec<String> {
    command.split(' ').chain([order, cents]).chain(PRODUCTS).map(str::to_owned).collect()
}

#[tokio::test]
async fn psql() {
    let program = Program::of("outbox/psql", &[("psql", "postgresql-client")]);
    orders_are_placed(program, Pooled::By(""), |order, cents| {
        let script = "psql \"$DATABASE_URL\" -qAt -v ON_ERROR_STOP=1 -v order=$0 -v cents=$1 \
            -v products=\"$2\" -f place.sql";
        ["sh", "-c", script, order, cents, &PRODUCTS.join(",")].map(str::to_owned).to_vec()
    })
    .await;
}

#[tokio::test]
async fn python() {
    let program = Program::of("outbox/python", &[("python3", "python3-venv")]);
    program.run(&["python3", "-m", "venv", ".venv"]).await;
    program.run(&["./.venv/bin/pip", "install", "--quiet", "-r", "requirements.txt"]).await;
    orders_are_placed(program, Pooled::By(""), |order, cents| {
        words("./.venv/bin/python place.py", order, cents)
    })
    .await;
}

#[tokio::test]
async fn node() {
    let program = Program::of("outbox/node", &[("node", "nodejs"), ("npm", "npm")]);
    program.run(&["npm", "install", "--no-audit", "--no-fund"]).await;
    orders_are_placed(program, Pooled::By(""), |order, cents| words("node place.js", order, cents))
        .await;
}

#[tokio::test]
async fn go() {
    let program = Program::of("outbox/go", &[("go", "golang-go")]);
    program.run(&["go", "build", "-o", "place", "."]).await;
    let pooled = Pooled::By("?default_query_exec_mode=describe_exec");
    orders_are_placed(program, pooled, |order, cents| words("./place", order, cents)).await;
}

#[tokio::test]
async fn java() {
    let needs = [("javac", "default-jdk-headless"), ("mvn", "maven")];
    let program = Program::of("outbox/java", &needs);
    let fetch = ["mvn", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=lib"];
    program.run(&fetch).await;
    let pooled = Pooled::By("?prepareThreshold=0");
    orders_are_placed(program, pooled, |order, cents| {
        words("java -cp lib/* Place.java", order, cents)
    })
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
    orders_are_placed(Program::of("outbox/rust", &[]), Pooled::Otherwise, |order, cents| {
        words(&program, order, cents)
    })
    .await;
}

#[tokio::test]
async fn rust_client() {
    let program = built("wasaga-example-outbox-client");
    orders_are_placed(Program::of("outbox/rust-client", &[]), Pooled::Otherwise, |order, cents| {
        words(&program, order, cents)
    })
    .await;
}

#[tokio::test]
async fn rust_client_relays_without_a_host() {
    let client = built("wasaga-example-outbox-client");
    let (world, url) = set_up().await;
    let program = Program::of("outbox/rust-client", &[]);
    let owner = Program::of("outbox/rust-client", &[])
        .set("DATABASE_URL", world.database_url())
        .set("KAFKA_BROKERS", &environment::kafka());
    program.set("DATABASE_URL", &url).run(&[&client, "o-1", "1200", "pen", "ink"]).await;
    assert_eq!(world.number(UNPUBLISHED).await, 3);
    let _relay = owner.start(&[&client, "relay"]);
    all_is_published(&world).await;
}

#[tokio::test]
async fn the_shop_may_emit_and_accept_and_nothing_else() {
    let (world, url) = set_up().await;
    let mut shop = Session::open(&url).await;
    shop.run(
        "select wasaga.emit('orders.placed'), wasaga.emit_many('[]'), wasaga.accept('shop', 'm-1')",
    )
    .await;
    let refused = shop.fails("select from wasaga.task_out").await;
    assert!(refused.contains("permission denied"), "{refused}");
    assert_eq!(world.texts(OPEN_TO_THE_SHOP).await, [""; 0]);
}
