//! Hosts, and applications beside them, that reach Postgres through `PgBouncer` in transaction mode.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use wasaga_services::PgBouncer;
use wasaga_store::testing_sql::Session;
use wasaga_tests::{
    Host, HostOptions, ORDER_PLUGINS, Order, PATIENCE, Record, World, check::promises, environment,
    eventually,
};

/// A pooler before the world's database, with fewer connections than the hosts have.
fn pooler(world: &World) -> (PgBouncer, String) {
    let direct = world.database_url();
    let pooler = PgBouncer::start(direct, 3).expect("PgBouncer starts");
    let url = pooler.url(direct).expect("it is on loopback");
    (pooler, url)
}

fn pooled(world: &World, url: &str) -> HostOptions {
    let url = Value::from(url);
    world.host().set("database.url", url).set("database.pgbouncer", true)
}

/// What a list has on all of its pages; the path ends with a page's limit.
async fn pages(host: &Host, path: &str, list: &str) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let mut page = host.api.get(&format!("{path}{after}")).await.ok();
        all.append(page[list].as_array_mut().expect("a page has its list"));
        after = match &page["next"] {
            Value::Null => return all,
            Value::String(next) => format!("&after={next}"),
            next => format!("&after={next}"),
        };
    }
}

#[tokio::test]
async fn orders_go_through_pgbouncer_and_guests_past_it() {
    let world = World::on_kafka(&ORDER_PLUGINS).await;
    let (_pooler, url) = pooler(&world);
    let direct = Value::from(world.database_url());
    let host = pooled(&world, &url).set("database.direct_url", &direct).start().await;
    let mut other = pooled(&world, &url).set("database.direct_url", &direct).start().await;
    let mut sagas = Vec::new();
    for n in 0..40 {
        let order = Order::of(["alice", "declined", "unshippable"][n % 3]);
        sagas.push(if n % 2 == 0 {
            host.api.order(&order).await
        } else {
            other.api.order(&order).await
        });
    }
    other.kill9();
    for (n, saga) in sagas.iter().enumerate() {
        let end = ["completed", "compensated", "compensated"][n % 3];
        host.api.reaches(saga, end).await;
    }
    promises(&world).await;
}

#[tokio::test]
async fn without_a_way_past_pgbouncer_what_needs_sql_is_refused() {
    let world = World::embedded(&["inventory-rust"]).await;
    let (_pooler, url) = pooler(&world);
    let host = pooled(&world, &url).spawn();
    let refused = "plugin inventory needs SQL, but database.direct_url is missing";
    eventually("the plugin is refused", PATIENCE, async || {
        host.log().contains(refused).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_sagas_did_is_read_and_much_is_asked_of_them() {
    let world = World::embedded(&["probe-rust", "probe-events-rust"]).await;
    let (_pooler, url) = pooler(&world);
    let direct = Value::from(world.database_url());
    let host = pooled(&world, &url).set("database.direct_url", &direct).start().await;

    let types = vec!["counted"; 100];
    let append = json!({"ask": [{"append": ["s", 0, types]}]});
    let counts = host.api.start("probe-events", "s", &append).await;
    host.api.reaches(&counts, "completed").await;
    let stream = "/api/v1/plugins/probe-events/streams/s/events?limit=30";
    let events = pages(&host, stream, "events").await;
    let versions: Vec<_> = events.iter().filter_map(|event| event["version"].as_i64()).collect();
    assert_eq!(versions, (1..=100).collect::<Vec<i64>>());

    let waits = json!({"do": "wait", "signals": ["go"], "timeout_ms": 120_000});
    let sagas = host.api.probes(&vec![json!({"steps": {"b": [waits]}}); 40]).await;
    for saga in &sagas {
        host.api.waits_in(saga, "b").await;
    }
    let waiting = "/api/v1/sagas?definition=probe&status=waiting&limit=15";
    let found = pages(&host, waiting, "sagas").await;
    let found: BTreeSet<_> = found.iter().filter_map(|saga| saga["saga_id"].as_str()).collect();
    let all: BTreeSet<_> = sagas.iter().map(String::as_str).collect();
    assert_eq!(found, all);

    let (signalled, cancelled) = sagas.split_at(20);
    for saga in signalled {
        assert_eq!(host.api.signal(saga, "go", &json!({})).await.status, 202);
    }
    for saga in signalled {
        host.api.reaches(saga, "completed").await;
    }
    let cancel = "/api/v1/sagas/bulk/cancel?definition=probe";
    let asked = host.api.post(cancel, &json!({"reason": "the test"})).await.ok();
    assert_eq!(asked["asked"], 20, "{asked}");
    for saga in cancelled {
        host.api.reaches(saga, "compensated").await;
        let history = host.api.history(saga).await;
        let undone = history.iter().filter(|item| item["direction"] == "undo");
        assert_eq!(undone.count(), 2, "{history:?}");
    }
    promises(&world).await;
}

#[tokio::test]
async fn messages_are_published_first_refused_and_found() {
    let world = World::embedded(&[]).await;
    let (_pooler, url) = pooler(&world);
    let brokers = json!(environment::kafka());
    let host = pooled(&world, &url).unset("kafka.embedded").set("kafka.brokers", brokers);
    let host = host.set("flows.publish_first", 2).set("flows.publish_first_ms", 10_000);
    let host = host.start().await;
    let first = "/api/v1/events?mode=publish-first";
    let order = |n: usize| {
        json!({
            "topic": "events.by-a-pooler", "key": format!("o-{n}"), "payload": { "cents": n },
            "idempotency_key": format!("order {n}"),
        })
    };
    let alone = host.api.post(first, &order(0)).await;
    assert_eq!((alone.status, &alone.body["status"]), (201, &json!("published")), "{}", alone.text);

    let orders: Vec<_> = (1..=30).map(order).collect();
    let answers = join_all(orders.iter().map(|order| host.api.post(first, order))).await;
    for (order, answer) in orders.iter().zip(&answers) {
        assert_eq!(answer.status, 201, "{}", answer.text);
        let known = host.api.post(first, order).await;
        assert_eq!((known.status, &known.body["id"]), (200, &answer.body["id"]), "{}", known.text);
    }
    // More often than the pooler has connections: each is given back.
    let too_large = json!({ "topic": "events.by-a-pooler", "payload": "x".repeat(1_010_000) });
    for _ in 0..5 {
        let refused = host.api.post(first, &too_large).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
    }
    let ready = "/api/v1/events?topic=events.by-a-pooler&status=ready&limit=10";
    eventually("the relay publishes what was stored", PATIENCE, async || {
        (pages(&host, ready, "events").await.len() == 31).then_some(())
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_found_shown_mended_and_ended() {
    let world = World::embedded(&["letters-rust"]).await;
    let (_pooler, url) = pooler(&world);
    let host = pooled(&world, &url).start().await;
    let never = json!({"in": "never", "dead": "never"});
    let record = |n: u32| Record::new("letters.in", &format!("k-{n}"), &never);
    world.produce(&(0..40).map(record).collect::<Vec<_>>()).await;
    let too_large = "to_jsonb(repeat('x', 2000000))";
    world.run(&format!("select wasaga.emit('letters.in', 'large', {too_large})")).await;
    let given_up = "select (select count(*) from wasaga.dead_letter_in where status = 'error')
        + (select count(*) from wasaga.dead_letter_out)";
    eventually("all of it is given up", PATIENCE, async || {
        (world.number(given_up).await == 41).then_some(())
    })
    .await;

    let mut letters = pages(&host, "/api/v1/dead-letters/in?limit=15", "letters").await;
    let keys: BTreeSet<_> = letters.iter().filter_map(|letter| letter["key"].as_str()).collect();
    assert_eq!((letters.len(), keys.len()), (40, 40));
    letters.truncate(1);
    letters.append(&mut pages(&host, "/api/v1/dead-letters/out?limit=15", "letters").await);
    assert_eq!(letters.len(), 2);
    for (letter, value) in letters.iter().zip([never, json!("x".repeat(2_000_000))]) {
        let flow = letter["flow"].as_str().expect("a letter has its flow");
        let path = format!("/api/v1/dead-letters/{flow}/{}", letter["letter_id"]);
        let shown = host.api.get(&path).await.ok();
        assert!(shown["value"]["json"] == value, "the letter {flow} is another");
        host.api.patch(&path, &json!({"value": {"json": {"in": "ok"}}, "by": "ada"})).await.ok();
        host.api.post(&format!("{path}/redrive"), &json!({"by": "ada"})).await.ok();
        let ended = host.api.get(&path).await.ok();
        assert_eq!(
            (&ended["ending"], &ended["verbs"][1]["by"]),
            (&json!("redriven"), &json!("ada"))
        );
    }
    let reason = json!({"reason": "the test"});
    let bulk = "/api/v1/dead-letters/in/bulk/discard?reason=never";
    assert_eq!(host.api.post(bulk, &reason).await.ok()["ended"], 39);
    let done = "/api/v1/events?topic=letters.done&status=ready&limit=15";
    eventually("what was mended is done", PATIENCE, async || {
        let done = pages(&host, done, "events").await;
        let keys: BTreeSet<_> = done.iter().filter_map(|message| message["key"].as_str()).collect();
        (done.len() == 2 && keys.contains("large")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_application_emits_in_its_own_transaction() {
    let world = World::embedded(&[]).await;
    let (pooler, url) = pooler(&world);
    let _host = pooled(&world, &url).start().await;
    let application = world.application("wasaga.emit").await;
    let application = pooler.url(&application).expect("it is on loopback");
    let mut kept = Session::open(&application).await;
    let mut dropped = Session::open(&application).await;
    kept.run("create table shop.orders (order_id text)").await;
    for (session, order) in [(&mut kept, "o-1"), (&mut dropped, "o-2")] {
        session.run("begin").await;
        session.run(&format!("insert into shop.orders values ('{order}')")).await;
        let emit = format!("'{order}', '{{\"cents\": 1200}}', idempotency_key => 'place {order}'");
        session.run(&format!("select wasaga.emit('orders.placed', {emit})")).await;
    }
    dropped.run("rollback").await;
    kept.run("commit").await;
    let denied = kept.fails("select id from wasaga.task_out").await;
    assert!(denied.contains("permission denied"), "{denied}");
    let messages = "select concat_ws(' ', idempotency_key, status) from wasaga.task_out";
    eventually("what was committed is published, and nothing else", PATIENCE, async || {
        (world.texts(messages).await == ["place o-1 ready"]).then_some(())
    })
    .await;
    assert_eq!(world.texts("select order_id from shop.orders").await, ["o-1"]);
}
