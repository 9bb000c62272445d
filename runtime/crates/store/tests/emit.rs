//! `wasaga.emit`, `wasaga.emit_many` and `wasaga.accept`, as applications call them, on a real Postgres.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use wasaga_store::{
    headers,
    testing::{TestDatabase, database},
};

const ALL: &str = "wasaga.emit, wasaga.emit_many, wasaga.accept";

/// An application's connection: its role may call the functions, and nothing else of the schema.
struct Application(PgConnection);

impl Application {
    async fn connect(url: &str) -> Self {
        Self(PgConnection::connect(url).await.unwrap())
    }

    /// A database with an application.
    async fn new() -> (TestDatabase, Self) {
        let db = database().await;
        let url = db.application(ALL).await;
        let application = Self::connect(&url).await;
        (db, application)
    }

    async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await.expect(sql);
    }

    /// What a function of the schema answers with, as text.
    async fn ask(&mut self, call: &str) -> Result<String, sqlx::Error> {
        let sql = format!("select wasaga.{call}::text");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.0).await
    }

    /// How a call fails: its SQLSTATE, message and hint.
    async fn refused(&mut self, call: &str) -> (String, String) {
        let error = self.ask(call).await.expect_err(call);
        let error = error.as_database_error().expect("Postgres refuses it");
        let code = error.code().unwrap_or_default().into_owned();
        let hint =
            error.downcast_ref::<sqlx::postgres::PgDatabaseError>().hint().unwrap_or_default();
        (code, format!("{error} ({hint})"))
    }
}

async fn numbers(db: &TestDatabase, query: &str) -> Vec<String> {
    let texts = db.texts(&format!("select ({query})::text")).await;
    texts.into_iter().map(Option::unwrap_or_default).collect()
}

async fn count(db: &TestDatabase, what: &str) -> String {
    numbers(db, &format!("select count(*) from wasaga.{what}")).await.remove(0)
}

/// A row of the outbox.
async fn row(db: &TestDatabase, id: &str) -> Value {
    let query = format!("select to_jsonb(t)::text from wasaga.task_out t where id = {id}");
    let text = db.texts(&query).await.remove(0).expect("to_jsonb answers");
    serde_json::from_str(&text).unwrap()
}

/// Waits until a session waits for another one's transaction.
async fn somebody_waits(db: &TestDatabase) {
    let waits = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    let began = Instant::now();
    while numbers(db, waits).await != ["1"] {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_message_is_stored_as_it_was_given() {
    let (db, mut app) = Application::new().await;
    let id = app
        .ask(
            "emit('orders.events', 'ö-1', '{\"cents\": 1200}', idempotency_key => 'place ö-1',
                headers => '[[\"tenant\", \"acme\"], [\"tenant\", {\"base64\": \"/w==\"}]]',
                rollback => '{\"topic\": \"orders.undo\", \"key_bytes\": \"/w==\", \"payload\": [1]}',
                aggregate_id => 'ö-1', event_type => 'order.placed', max_attempts => 3,
                traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')",
        )
        .await
        .unwrap();
    let stored = row(&db, &id).await;
    let expected = json!({
        "status": "wait", "attempts": 0, "max_attempts": 3, "topic": "orders.events",
        "key": "\\xc3b62d31", "value": "\\x7b2263656e7473223a20313230307d",
        "headers": [["tenant", "acme"], ["tenant", {"base64": "/w=="}]],
        "idempotency_key": "place ö-1", "aggregate_id": "ö-1", "event_type": "order.placed",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "saga_id": null,
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&stored[column], value, "{column}");
    }
    headers::from_json(&stored["headers"]).unwrap();
    let rollback = headers::message_from_json(&stored["rollback"]).unwrap();
    assert_eq!(rollback.topic, "orders.undo");
    assert_eq!((rollback.key.unwrap(), rollback.value.unwrap()), (vec![255].into(), "[1]".into()));

    let bytes =
        app.ask("emit('t', key_bytes => '\\xff', payload_bytes => '\\x00fe')").await.unwrap();
    let stored = row(&db, &bytes).await;
    assert_eq!((&stored["key"], &stored["value"]), (&json!("\\xff"), &json!("\\x00fe")));
    let tombstone = app.ask("emit('t', 'k')").await.unwrap();
    assert_eq!(row(&db, &tombstone).await["value"], Value::Null);
    let null = app.ask("emit('t', 'k', 'null')").await.unwrap();
    assert_eq!(row(&db, &null).await["value"], "\\x6e756c6c");
}

#[tokio::test]
async fn nothing_is_sent_without_the_callers_commit() {
    let (db, mut app) = Application::new().await;
    app.run("create table shop.orders (id text)").await;
    let place = "insert into shop.orders values ('o-1');
        select wasaga.emit('orders.events', 'o-1', '{}', idempotency_key => 'o-1');
        select wasaga.emit_many('[{\"topic\": \"orders.events\"}]'); select wasaga.accept('shop', 'm-1')";
    app.run(&format!("begin; {place}; rollback")).await;
    for nothing in ["task_out", "emitted", "accepted"] {
        assert_eq!(count(&db, nothing).await, "0", "{nothing}");
    }
    app.run(&format!("begin; {place}; commit")).await;
    assert_eq!(count(&db, "task_out").await, "2");
    assert_eq!(app.ask("accept('shop', 'm-1')").await.unwrap(), "false");
}

#[tokio::test]
async fn ids_grow_in_the_order_of_the_emits() {
    let (db, mut app) = Application::new().await;
    let messages: Vec<_> = (0..50)
        .map(|n| json!({"topic": "t", "key": "k", "payload": n, "idempotency_key": format!("m-{n}")}))
        .collect();
    let many = format!("emit_many('{}')", json!(messages));
    app.run("select wasaga.emit('t', 'k', '-1')").await;
    app.run(&format!("select wasaga.{many}; select wasaga.emit('t', 'k', '50')")).await;
    let values =
        db.texts("select convert_from(value, 'UTF8') from wasaga.task_out order by id").await;
    let expected: Vec<_> = (-1..=50).map(|n| Some(n.to_string())).collect();
    assert_eq!(values, expected);
    // The same once more: the same ids, in the same order, and no other message.
    let ids =
        "select array_agg(id order by id) from wasaga.task_out where idempotency_key is not null";
    assert_eq!(vec![app.ask(&many).await.unwrap()], numbers(&db, ids).await);
    assert_eq!(count(&db, "task_out").await, "52");
}

#[tokio::test]
async fn a_second_emit_under_one_key_is_the_first() {
    let (db, mut app) = Application::new().await;
    let emit = "emit('t', 'k', '{\"a\": 1, \"b\": 2}', idempotency_key => 'once')";
    let first = app.ask(emit).await.unwrap();
    // Another order of members is the same content; so is another trace.
    let again = "emit('t', 'k', '{\"b\":2,\"a\":1}', idempotency_key => 'once', max_attempts => 9,
        traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')";
    assert_eq!(app.ask(again).await.unwrap(), first);
    let many = "emit_many('[{\"topic\": \"t\", \"key\": \"k\", \"payload\": {\"a\": 1, \"b\": 2},
        \"idempotency_key\": \"once\"}]')";
    assert_eq!(app.ask(many).await.unwrap(), format!("{{{first}}}"));
    assert_eq!(count(&db, "task_out").await, "1");

    for other in [
        "'u', 'k', '{\"a\": 1, \"b\": 2}'",
        "'t', 'j', '{\"a\": 1, \"b\": 2}'",
        "'t', 'k', '{\"a\": 1, \"b\": 3}'",
        "'t', 'k'",
        "'t', 'k', '{\"a\": 1, \"b\": 2}', '[[\"h\", \"1\"]]'",
        "'t', 'k', '{\"a\": 1, \"b\": 2}', aggregate_id => 'x'",
        "'t', 'k', '{\"a\": 1, \"b\": 2}', event_type => 'x'",
        "'t', 'k', '{\"a\": 1, \"b\": 2}', rollback => '{\"topic\": \"t\"}'",
    ] {
        let refused = app.refused(&format!("emit({other}, idempotency_key => 'once')")).await;
        assert_eq!(refused.0, "23505", "{other}");
        assert!(refused.1.contains(&format!("task {first} was emitted under the key \"once\"")));
    }

    // However early the message is deleted, its key is known until the horizon.
    db.run("delete from wasaga.task_out").await;
    assert_eq!(app.ask(emit).await.unwrap(), first);
    db.run("update wasaga.emitted set until = now()").await;
    let next = app.ask("emit('t', 'k', '\"other\"', idempotency_key => 'once')").await.unwrap();
    assert_ne!(next, first);
    let horizon = "select until > now() + interval '6 days' from wasaga.emitted";
    assert_eq!(numbers(&db, horizon).await, ["true"]);
}

#[tokio::test]
async fn two_transactions_under_one_key_send_one_message() {
    let db = database().await;
    let url = db.application(ALL).await;
    for (n, end) in ["commit", "rollback"].into_iter().enumerate() {
        let emit = format!("emit('t', 'k', '1', idempotency_key => 'key {n}')");
        let mut first = Application::connect(&url).await;
        first.run("begin").await;
        let id = first.ask(&emit).await.unwrap();
        let mut second = Application::connect(&url).await;
        let asks = tokio::spawn(async move { second.ask(&emit).await });
        somebody_waits(&db).await;
        first.run(end).await;
        let answer = asks.await.unwrap().unwrap();
        assert_eq!(answer == id, end == "commit", "{end}");
        assert_eq!(count(&db, "task_out").await, (n + 1).to_string());
    }
}

#[tokio::test]
async fn what_can_not_be_sent_is_refused_by_name() {
    let (db, mut app) = Application::new().await;
    for (call, code, said) in [
        ("emit(null)", "22023", "the message: null is no topic's name"),
        ("emit('')", "22023", "1 to 249 of a-z A-Z 0-9 . _ -"),
        ("emit('orders events')", "22023", "\"orders events\" is no topic's name"),
        ("emit('..')", "22023", "\"..\" is no topic's name"),
        ("emit(repeat('t', 250))", "22023", "is no topic's name"),
        ("emit('t', 'k', key_bytes => '\\x00')", "22023", "key and key_bytes are both given"),
        (
            "emit('t', payload => '1', payload_bytes => '\\x00')",
            "22023",
            "payload and payload_bytes",
        ),
        ("emit('t', headers => '{\"a\": \"b\"}')", "22023", "array of [name, value] pairs"),
        ("emit('t', headers => '[[\"a\"]]')", "22023", "header [\"a\"] must be [name, text]"),
        ("emit('t', headers => '[[\"a\", \"b\", \"c\"]]')", "22023", "must be [name, text]"),
        ("emit('t', headers => '[[\"a\", 1]]')", "22023", "header [\"a\", 1] must be"),
        ("emit('t', headers => '[[\"\", \"a\"]]')", "22023", "header [\"\", \"a\"] must be"),
        (
            "emit('t', headers => '[[\"a\", {\"base64\": \"x\"}]]')",
            "22023",
            "header \"a\" is not base64",
        ),
        (
            "emit('t', headers => '[[\"a\", {\"base64\": \"xx==\"}]]')",
            "22023",
            "\"a\" is not base64",
        ),
        ("emit('t', headers => '[[\"message-id\", \"1\"]]')", "22023", "written by the relay"),
        ("emit('t', idempotency_key => '')", "22023", "idempotency_key must have 1 to 500"),
        ("emit('t', aggregate_id => repeat('a', 501))", "22023", "aggregate_id must have 1 to 500"),
        ("emit('t', event_type => '')", "22023", "event_type must have 1 to 500 characters"),
        ("emit('t', max_attempts => 0)", "22023", "max_attempts must be at least 1, and is 0"),
        ("emit('t', traceparent => 'x')", "22023", "traceparent 'x' is none"),
        (
            "emit('t', rollback => '{\"topic\": \"t t\"}')",
            "22023",
            "rollback: \"t t\" is no topic's",
        ),
        (
            "emit('t', rollback => '{\"topic\": \"t\", \"to\": 1}')",
            "22023",
            "unknown member \"to\"",
        ),
        ("emit('t', cloud_event_source => '/shop')", "22004", "must have an event_type"),
        (
            "emit('t', payload_bytes => convert_to(repeat('x', 10485759), 'UTF8'))",
            "54000",
            "have 10485761 bytes, and may have 10485760",
        ),
        ("emit_many('{}')", "22023", "messages must be an array of objects, and are: {}"),
        ("emit_many(null)", "22023", "messages must be an array"),
        ("emit_many('[{\"topic\": \"t\"}, 5]')", "22023", "message 2 must be an object, and is: 5"),
        (
            "emit_many('[{\"topic\": \"t\"}, {\"Topic\": \"t\"}]')",
            "22023",
            "message 2 has an unknown",
        ),
        (
            "emit_many('[{\"topic\": \"t\"}, {\"topic\": 1}]')",
            "22023",
            "message 2: topic must be text",
        ),
        ("emit_many('[{\"topic\": \"t\", \"max_attempts\": 1.5}]')", "22023", "must be an integer"),
        (
            "emit_many('[{\"topic\": \"t\", \"key_bytes\": \"é\"}]')",
            "22023",
            "key_bytes is not base64",
        ),
        ("accept('c', null)", "22004", "the message's id is null"),
        ("accept(null, 'm')", "22004", "the consumer's name is null"),
        ("accept('', 'm')", "22023", "the consumer's name must have 1 to 100 characters"),
        ("accept('c', repeat('m', 501))", "22023", "the message's id must have 1 to 500"),
    ] {
        let refused = app.refused(call).await;
        assert_eq!(refused.0, code, "{call}: {}", refused.1);
        assert!(refused.1.contains(said), "{call}: {}", refused.1);
    }
    assert_eq!(count(&db, "task_out").await, "0", "all of many, or none");
    let largest = "emit('t', payload_bytes => convert_to(repeat('x', 10485758), 'UTF8'))";
    app.ask(largest).await.unwrap();
}

#[tokio::test]
async fn a_role_may_call_what_it_was_granted_and_nothing_else() {
    let db = database().await;
    let mut app = Application::connect(&db.application("wasaga.emit").await).await;
    app.ask("emit('t', idempotency_key => 'k', rollback => '{\"topic\": \"t\"}')").await.unwrap();
    for call in [
        "emit_many('[]')",
        "accept('c', 'm')",
        "length_check('a', 'b', 1)",
        "task_out_waiting(1, 0::smallint, 1, 0, '{}', '{}', '{}', '{}', 1, 1)",
        "task_in_find('{0}', 0, 1)",
        "task_out_emit('', 't', null, null, null, null, null, null, null, null, null, null, null, null)",
    ] {
        let refused = app.refused(call).await;
        assert_eq!(refused.0, "42501", "{call}: {}", refused.1);
    }
    for table in ["task_out", "emitted", "accepted", "outbox"] {
        let select = sqlx::query(AssertSqlSafe(format!("select from wasaga.{table}")));
        let refused = select.execute(&mut app.0).await.expect_err(table).to_string();
        assert!(refused.contains("permission denied"), "{table}: {refused}");
    }
    // Whoever calls a function that runs as its owner can't make it find others than its own.
    let open = "select proname::text from pg_proc where pronamespace = 'wasaga'::regnamespace and prosecdef
        and not coalesce(proconfig, '{}') @> '{\"search_path=pg_catalog, pg_temp\"}'";
    assert_eq!(db.texts(open).await, Vec::<Option<String>>::new());
}

#[tokio::test]
async fn a_consumer_accepts_a_message_once() {
    let db = database().await;
    let url = db.application(ALL).await;
    let mut app = Application::connect(&url).await;
    for (call, answer) in [
        ("accept('billing', 'm-1')", "true"),
        ("accept('billing', 'm-1')", "false"),
        ("accept('billing', 'm-2')", "true"),
        ("accept('shipping', 'm-1')", "true"),
    ] {
        assert_eq!(app.ask(call).await.unwrap(), answer, "{call}");
    }
    db.run("update wasaga.accepted set until = now() where message_id = 'm-2'").await;
    assert_eq!(app.ask("accept('billing', 'm-2')").await.unwrap(), "true", "past the horizon");
    assert_eq!(app.ask("accept('billing', 'm-2')").await.unwrap(), "false");

    for (message, end, answer) in [("m-3", "commit", "false"), ("m-4", "rollback", "true")] {
        let accept = format!("accept('billing', '{message}')");
        app.run("begin").await;
        assert_eq!(app.ask(&accept).await.unwrap(), "true");
        let mut other = Application::connect(&url).await;
        let asks = tokio::spawn(async move { other.ask(&accept).await });
        somebody_waits(&db).await;
        app.run(end).await;
        assert_eq!(asks.await.unwrap().unwrap(), answer, "{end}");
    }
}

#[tokio::test]
async fn what_is_past_its_horizon_is_deleted() {
    let (db, mut app) = Application::new().await;
    for n in 0..5 {
        app.run(&format!("select wasaga.emit('t', idempotency_key => 'k-{n}')")).await;
        app.run(&format!("select wasaga.accept('c', 'm-{n}')")).await;
    }
    assert_eq!(db.store.horizons_forget(10).await.unwrap(), 0, "nothing is old");
    db.run("update wasaga.emitted set until = now() where idempotency_key <> 'k-4'").await;
    db.run("update wasaga.accepted set until = now() where message_id <> 'm-4'").await;
    assert_eq!(db.store.horizons_forget(3).await.unwrap(), 3, "no more than asked for");
    assert_eq!(db.store.horizons_forget(3).await.unwrap(), 1);
    let left = "select idempotency_key from wasaga.emitted union all select message_id from wasaga.accepted";
    assert_eq!(db.texts(left).await, [Some("k-4".into()), Some("m-4".into())]);
}

#[tokio::test]
async fn a_message_may_be_a_cloud_event() {
    let (db, mut app) = Application::new().await;
    let id = app
        .ask(
            "emit('t', 'k', '{}', '[[\"tenant\", \"acme\"]]', aggregate_id => 'o-1',
                event_type => 'order.placed', cloud_event_source => '/shop')",
        )
        .await
        .unwrap();
    let stored = row(&db, &id).await;
    let time = stored["headers"][6][1].as_str().unwrap().to_owned();
    assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{time}");
    let expected = json!([
        ["tenant", "acme"],
        ["ce_specversion", "1.0"],
        ["ce_id", stored["message_id"]],
        ["ce_source", "/shop"],
        ["ce_type", "order.placed"],
        ["ce_subject", "o-1"],
        ["ce_time", time],
        ["content-type", "application/json"],
    ]);
    assert_eq!(stored["headers"], expected);

    // What the payload is, is the caller's to say, where it is not jsonb or where he says so.
    for (payload, content) in [
        ("payload_bytes => '\\x00'", json!([])),
        (
            "payload => '{}', headers => '[[\"content-type\", \"application/vnd.shop+json\"]]'",
            json!(["application/vnd.shop+json"]),
        ),
    ] {
        let call =
            format!("emit('t', {payload}, event_type => 'x', cloud_event_source => '/shop')");
        let stored = row(&db, &app.ask(&call).await.unwrap()).await;
        let headers = stored["headers"].as_array().unwrap().iter();
        let types: Vec<_> = headers.filter(|h| h[0] == "content-type").map(|h| &h[1]).collect();
        assert_eq!(json!(types), content, "{payload}");
    }
}

#[tokio::test]
async fn the_outbox_has_debeziums_columns() {
    let (db, mut app) = Application::new().await;
    app.run("select wasaga.emit('orders.events', 'k', '{}', aggregate_id => 'o-1', event_type => 'placed')")
        .await;
    app.run("select wasaga.emit('orders.events', 'ö\\2', payload_bytes => '\\xff')").await;
    app.run("select wasaga.emit('orders.events', key_bytes => '\\x6bff')").await;
    let rows = "select format('%s %s %s %s %s %s', o.id = t.message_id, o.timestamp = t.created_at, aggregatetype,
            aggregateid, type, payload)
        from wasaga.outbox o join wasaga.task_out t on t.message_id = o.id order by t.id";
    let expected = [
        "t t orders.events o-1 placed \\x7b7d",
        "t t orders.events ö\\2  \\xff",
        "t t orders.events k\\377  ",
    ];
    assert_eq!(db.texts(rows).await, expected.map(|row| Some(row.to_owned())));
}

/// How Debezium publishes the outbox.
const RECIPE: &str = include_str!("../../../../docs/debezium.md");

/// A property of the connector.
fn told(property: &str) -> &'static str {
    let told = |line: &'static str| line.strip_prefix(property)?.strip_prefix('=');
    RECIPE.lines().find_map(told).expect(property)
}

#[tokio::test]
async fn debeziums_recipe_names_the_columns_that_hold_a_message() {
    let (db, mut app) = Application::new().await;
    let once = "emit('orders.placed', 'o-1', '{\"cents\": 1200}', idempotency_key => 'once',
        event_type => 'order.placed', traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')";
    let first = app.ask(once).await.unwrap();
    assert_eq!(app.ask(once).await.unwrap(), first);
    app.ask("emit('orders.removed', 'o-1')").await.unwrap();
    app.ask("emit('orders.relayed', 'o-1')").await.unwrap();
    let relayed = "update wasaga.task_out set status = 'ready', finished_at = now() where topic = 'orders.relayed'";
    db.run(relayed).await;
    let property = |name: &str| told(&format!("transforms.outbox.{name}"));
    let headers = property("table.fields.additional.placement").split(',').map(|placed| {
        let (column, header) = placed.split_once(":header:").expect(placed);
        format!("'{header}', {column}")
    });
    let headers = headers.collect::<Vec<_>>().join(", ");
    let [topic, key, payload, id] = [
        "route.by.field",
        "table.field.event.key",
        "table.field.event.payload",
        "table.field.event.id",
    ]
    .map(property);
    let table = told("table.include.list");
    let snapshot = told(&format!("snapshot.select.statement.overrides.{table}"));
    let rows = format!(
        "select format('%s %s %s %s', {topic}, {key}, {payload},
            jsonb_strip_nulls(jsonb_build_object({headers}) - 'message-id')) from ({snapshot}) as rows"
    );
    let expected = [
        "orders.placed \\x6f2d31 \\x7b2263656e7473223a20313230307d {\"eventType\": \"order.placed\", \
         \"traceparent\": \"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\", \"idempotency-key\": \"once\"}",
        "orders.removed \\x6f2d31  {}",
    ];
    assert_eq!(db.texts(&rows).await, expected.map(|row| Some(row.to_owned())));
    // By it consumers know a record that comes again.
    assert_eq!(numbers(&db, &format!("select count(distinct {id}) from {table}")).await, ["3"]);
}

#[tokio::test]
async fn what_debezium_has_captured_is_deleted_as_documented() {
    let (db, mut app) = Application::new().await;
    let emit = |key: &str| format!("emit('t', 'k', '1', idempotency_key => '{key}')");
    let mut ids = Vec::new();
    for key in ["forgotten", "captured", "new"] {
        ids.push(app.ask(&emit(key)).await.unwrap());
        app.ask(&format!("accept('c', '{key}')")).await.unwrap();
    }
    db.run(
        "update wasaga.task_out set created_at = now() - interval '1 year' where idempotency_key <> 'new';
         update wasaga.emitted set until = now() where idempotency_key = 'forgotten';
         update wasaga.accepted set until = now() where message_id = 'forgotten'",
    )
    .await;
    let (_, cleaning) = RECIPE.split_once("## Cleaning up").unwrap();
    let (_, sql) = cleaning.split_once("```sql").unwrap();
    db.run(sql.split("```").next().unwrap()).await;
    let left = "select string_agg(left_over, ' ' order by left_over) from (
            select 'task ' || idempotency_key as left_over from wasaga.task_out
            union all select 'key ' || idempotency_key from wasaga.emitted
            union all select 'message ' || message_id from wasaga.accepted) as rows";
    let expected = "key captured key new message captured message new task new";
    assert_eq!(numbers(&db, left).await, [expected]);
    assert_eq!(app.ask(&emit("captured")).await.unwrap(), ids[1], "its key is known for longer");
    assert_ne!(app.ask(&emit("forgotten")).await.unwrap(), ids[0]);
}

#[tokio::test]
async fn the_migration_can_be_undone() {
    let (db, mut app) = Application::new().await;
    app.run("select wasaga.emit('t', 'k', '1', idempotency_key => 'k', max_attempts => 2)").await;
    db.store.migrate_down(9).await.unwrap();
    assert_eq!(count(&db, "task_out").await, "1", "what waits is sent all the same");
    db.store.migrate_up().await.unwrap();
}
