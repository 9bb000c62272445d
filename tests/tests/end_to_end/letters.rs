//! Messages that are given up: what holds meanwhile, what plugins and operators do about them.

use serde_json::{Value, json};
use wasaga_tests::{Host, PATIENCE, Record, World, eventually};

fn record(key: &str, value: &Value) -> Record {
    Record::new("letters.in", key, value)
}

/// What was done with records, as `letters.done` tells it: the key of the record and what.
const DONE: &str =
    "select convert_from(key, 'UTF8') || ' ' || (convert_from(value, 'UTF8')::jsonb ->> 'what')
    from wasaga.task_out where topic = 'letters.done' order by id";

async fn until(world: &World, what: &str, query: &str, expected: &[&str]) {
    eventually(format!("{what}: {query} says {expected:?}"), PATIENCE, async || {
        (world.texts(query).await == expected).then_some(())
    })
    .await;
}

/// The first letter of this flow.
async fn letter(host: &Host, flow: &str) -> Value {
    eventually(format!("there is a letter {flow}"), PATIENCE, async || {
        let page = host.api.get(&format!("/api/v1/dead-letters/{flow}")).await.ok();
        let letter = page["letters"].as_array()?.first()?["letter_id"].as_i64()?;
        Some(host.api.get(&format!("/api/v1/dead-letters/{flow}/{letter}")).await.ok())
    })
    .await
}

/// A payload that no broker takes.
const TOO_LARGE: &str = "to_jsonb(repeat('x', 2000000))";

#[tokio::test]
async fn poisoned_key_parks_alone_and_others_go_on() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let retry = "{ fixed = { delay_ms = 1000, max_attempts = 4 } }";
    let host = world.host().set("flows.in_retry", retry).start().await;
    let mut records = vec![record("poisoned", &json!({"in": "always", "dead": "never"}))];
    records.push(record("poisoned", &json!({})));
    records.extend((0..50).map(|n| record(&format!("k-{n}"), &json!({}))));
    world.produce(&records).await;

    let done = "select count(distinct key)::text from wasaga.task_out where topic = 'letters.done'";
    until(&world, "all others are done", done, &["50"]).await;
    let parked = "select status || ' ' || (attempts < 4) from wasaga.task_in where key = 'poisoned' order by id";
    let parked = world.texts(parked).await;
    assert_eq!(parked.len(), 2);
    assert!(parked.iter().all(|task| task == "wait true" || task == "work true"), "{parked:?}");

    until(&world, "then the one behind goes on", done, &["51"]).await;
    let letter = letter(&host, "in").await;
    assert_eq!((&letter["reason"]["code"], &letter["attempts"]), (&json!("always"), &json!(4)));
    assert_eq!(letter["key"], "poisoned");
    eventually("the open letter is counted", PATIENCE, async || {
        (host.api.metric("wasaga_dead_letters_open").await > 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn redrive_after_edit() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let host = world.host().start().await;
    let poison = record("k", &json!({"in": "never", "dead": "never", "n": 1}));
    world.produce(&[poison.header("idempotency-key", "i-1")]).await;
    let dead = letter(&host, "in").await;
    assert_eq!(dead["value"]["json"]["in"], "never");
    let path = format!("/api/v1/dead-letters/in/{}", dead["letter_id"]);
    until(
        &world,
        "its plugin gives it up too",
        "select status from wasaga.dead_letter_in",
        &["error"],
    )
    .await;

    let edit = json!({"value": {"json": {"in": "ok", "n": 2}}, "by": "ada", "reason": "a typo"});
    let edited = host.api.patch(&path, &edit).await.ok();
    assert_eq!((&edited["edited"], &edited["original"]["value"]), (&json!(true), &dead["value"]));
    let again = host.api.post(&format!("{path}/redrive"), &json!({"by": "ada"})).await.ok();
    until(&world, "it is done", DONE, &["k in"]).await;
    let done = "select concat_ws(' ', t.id = l.task_id, v ->> 'key', v #>> '{value,n}', i.attempts)
        from wasaga.task_out o cross join lateral (select convert_from(o.value, 'UTF8')::jsonb as v) parsed
            cross join wasaga.task_in i cross join wasaga.dead_letter_verbs l cross join wasaga.task_in t
        where o.topic = 'letters.done' and i.status = 'ready' and t.id = i.id and l.verb = 'redrive'";
    assert_eq!(world.texts(done).await, ["t i-1 2 1"], "the same key, from its first attempt");
    assert!(again["task_id"].is_i64());
    assert_eq!(host.api.post(&format!("{path}/redrive"), &json!({})).await.status, 409);
    let verbs = host.api.get(&path).await.ok()["verbs"].clone();
    assert_eq!((&verbs[0]["by"], &verbs[1]["verb"]), (&json!("ada"), &json!("redrive")));

    // On its way out: too large for any broker, until somebody mends it.
    world
        .run(&format!(
            "select wasaga.emit('letters.in', 'big', {TOO_LARGE}, idempotency_key => 'i-2')"
        ))
        .await;
    let dead = letter(&host, "out").await;
    assert_eq!(dead["reason"]["code"], "kafka-message-size-too-large");
    let path = format!("/api/v1/dead-letters/out/{}", dead["letter_id"]);
    host.api.patch(&path, &json!({"value": {"json": {"n": 3}}})).await.ok();
    host.api.post(&format!("{path}/redrive"), &json!({})).await.ok();
    until(&world, "it is published and handled", DONE, &["k in", "big in"]).await;
    let ids = "select (count(distinct message_id), count(distinct idempotency_key))::text from wasaga.task_out
        where key = 'big' and topic = 'letters.in'";
    assert_eq!(world.texts(ids).await, ["(2,1)"], "another message under the same key");
}

#[tokio::test]
async fn many_on_their_way_out_are_redriven_or_discarded_by_topic() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let host = world.host().start().await;
    for (topic, key) in
        [("letters.in", "a"), ("letters.other", "b"), ("letters.in", "c"), ("letters.other", "d")]
    {
        world.run(&format!("select wasaga.emit('{topic}', '{key}', {TOO_LARGE})")).await;
    }
    let letters = "select convert_from(key, 'UTF8') || ' ' || coalesce(ending, status)
        from wasaga.dead_letter_out order by key";
    until(&world, "all are given up", letters, &["a wait", "b wait", "c wait", "d wait"]).await;
    let found = host.api.get("/api/v1/dead-letters/out?topic=letters.in").await.ok();
    for letter in found["letters"].as_array().expect("a page has letters") {
        let path = format!("/api/v1/dead-letters/out/{}", letter["letter_id"]);
        host.api.patch(&path, &json!({"value": {"json": {}}})).await.ok();
    }

    let bulk = async |query: &str, body: Value| {
        host.api.post(&format!("/api/v1/dead-letters/out/bulk/{query}"), &body).await
    };
    let redrive = "redrive?topic=letters.in&reason=kafka-message-size-too-large";
    let dry = bulk(&format!("{redrive}&dry_run=true"), json!({})).await.ok();
    assert_eq!((&dry["matched"], &dry["ended"]), (&json!(2), &json!(0)));
    let done = bulk(redrive, json!({"by": "ada", "reason": "mended"})).await.ok();
    assert_eq!((&done["matched"], &done["ended"]), (&json!(2), &json!(2)));
    let heard = "select convert_from(key, 'UTF8') from wasaga.task_out where topic = 'letters.done' order by key";
    until(&world, "both are published and handled", heard, &["a", "c"]).await;
    let half = ["a redriven", "b wait", "c redriven", "d wait"];
    assert_eq!(world.texts(letters).await, half);

    let discard = "discard?topic=letters.other";
    assert_eq!(bulk(discard, json!({})).await.status, 422, "somebody will ask why");
    assert_eq!(world.texts(letters).await, half);
    let done = bulk(discard, json!({"by": "ada", "reason": "no use"})).await.ok();
    assert_eq!((&done["matched"], &done["ended"]), (&json!(2), &json!(2)));
    let ended = ["a redriven", "b discarded", "c redriven", "d discarded"];
    assert_eq!(world.texts(letters).await, ended);
    let verbs = "select concat_ws(' ', convert_from(l.key, 'UTF8'), v.verb, v.by, v.reason, v.task_id is not null)
        from wasaga.dead_letter_verbs v join wasaga.dead_letter_out l on l.id = v.letter_id and v.flow = 'out'
        where v.verb <> 'edit' order by 1";
    let expected = [
        "a redrive ada mended t",
        "b discard ada no use f",
        "c redrive ada mended t",
        "d discard ada no use f",
    ];
    assert_eq!(world.texts(verbs).await, expected);
    let tasks = "select topic || ' ' || status || ' ' || count(*) from wasaga.task_out
        where topic <> 'letters.done' group by topic, status order by 1";
    let expected = [
        "letters.in error_rollback_none 2",
        "letters.in ready 2",
        "letters.other error_rollback_none 2",
    ];
    until(&world, "nothing else is sent", tasks, &expected).await;
}

#[tokio::test]
async fn rollback_message() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let host = world.host().start().await;
    world
        .run(&format!(
            "select wasaga.emit('letters.charge', 'o-1', {TOO_LARGE}, idempotency_key => 'charge o-1',
                 rollback => '{{\"topic\": \"letters.in\", \"key\": \"o-1\", \"payload\": {{\"undo\": 1}}}}')"
        ))
        .await;
    // The plugin hears it as a record: it went by Kafka.
    until(&world, "the rollback message is published and heard", DONE, &["o-1 in"]).await;
    let tasks = "select concat_ws(' ', topic, status, idempotency_key) from wasaga.task_out
        where topic <> 'letters.done' order by id";
    let expected = ["letters.charge rollback charge o-1", "letters.in ready charge o-1/rollback"];
    assert_eq!(world.texts(tasks).await, expected);
    let letter = letter(&host, "out").await;
    assert_eq!((&letter["status"], &letter["attempts"]), (&json!("wait"), &json!(1)));
    assert_eq!(letter["idempotency_key"], "charge o-1");
}

#[tokio::test]
async fn dead_letters_go_to_plugins() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let retry = "{ fixed = { delay_ms = 20, max_attempts = 3 } }";
    let host = world.host().set("flows.dead_retry", retry).start().await;
    world
        .produce(&[
            record("handled", &json!({"in": "never"})),
            record("later", &json!({"in": "never", "dead": "later"})),
            record("given-up", &json!({"in": "never", "dead": "always"})),
        ])
        .await;
    let letters =
        "select concat_ws(' ', convert_from(key, 'UTF8'), status, ending, handling_attempts,
            handling_error ->> 'code')
        from wasaga.dead_letter_in order by key";
    let expected = ["given-up error 3 always", "handled ready handled 1", "later ready handled 2"];
    until(&world, "each letter is at its end, or an operator's", letters, &expected).await;
    let mut done = world.texts(DONE).await;
    done.sort_unstable();
    assert_eq!(done, ["handled never", "later never"], "with their reasons");

    // On their way out: refused by the plugin itself, which is called for their letters too.
    let emit = |key: &str, dead: &str| {
        format!(
            "select wasaga.emit('letters.out', '{key}', '{{\"out\": \"never\", \"dead\": \"{dead}\"}}')"
        )
    };
    world.run(&emit("replaced", "ok")).await;
    world.run(&emit("dropped", "drop")).await;
    let letters = "select concat_ws(' ', convert_from(key, 'UTF8'), ending) from wasaga.dead_letter_out order by key";
    until(&world, "both letters end", letters, &["dropped handled", "replaced handled"]).await;
    let found = "select concat_ws(' ', convert_from(key, 'UTF8'), status, convert_from(value, 'UTF8')::jsonb ->> 'reason')
        from wasaga.task_out where topic = 'letters.found'";
    until(&world, "one is replaced, and published", found, &["replaced ready never"]).await;
    assert_eq!(host.api.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_trap_on_any_flow_is_an_attempt_that_failed() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let retry = "{ fixed = { delay_ms = 20, max_attempts = 2 } }";
    let mut host = world.host();
    for flow in ["in_retry", "handle_out_retry", "dead_retry"] {
        host = host.set(&format!("flows.{flow}"), retry);
    }
    let mut host = host.start().await;
    world
        .run(
            "select wasaga.emit('letters.out', 'first', '{\"out\": \"trap\"}');
             select wasaga.emit('letters.out', 'second', '{\"out\": \"never\", \"dead\": \"trap\"}');
             select wasaga.emit('letters.out', 'good', '{}')",
        )
        .await;
    let trap = json!({"in": "trap", "dead": "trap"});
    world.produce(&[record("both", &trap), record("good", &json!({}))]).await;
    let letters = |flow: &str| {
        format!(
            "select concat_ws(' ', convert_from(key, 'UTF8'), reason ->> 'code', attempts, status, handling_attempts,
                handling_error ->> 'code')
            from wasaga.dead_letter_{flow} order by key"
        )
    };
    let expected = ["first trap 2 ready 1", "second never 1 error 2 trap"];
    until(&world, "on their way out", &letters("out"), &expected).await;
    until(&world, "on its way in", &letters("in"), &["both trap 2 error 2 trap"]).await;
    let told = "select handling_error ->> 'message' from wasaga.dead_letter_in";
    let told = world.texts(told).await.concat();
    assert!(told.contains("handle-dead-in") && told.contains("the message says so"), "{told}");
    until(&world, "the others go on", DONE, &["good in"]).await;
    host.ready().await;
}

#[tokio::test]
async fn messages_out_go_through_a_plugin() {
    let world = World::on_kafka(&["letters-rust"]).await;
    let retry = "{ fixed = { delay_ms = 300, max_attempts = 3 } }";
    let host = world.host().set("flows.handle_out_retry", retry).start().await;
    world
        .run(
            "select wasaga.emit('letters.out', 'a', '{\"out\": \"later\"}', idempotency_key => 'i-1');
             select wasaga.emit('letters.out', 'a', '{}', idempotency_key => 'i-2');
             select wasaga.emit('letters.out', 'b', '{\"out\": \"drop\"}', idempotency_key => 'i-3');
             select wasaga.emit('letters.out', 'c', '{\"out\": \"never\", \"dead\": \"never\"}', idempotency_key => 'i-4',
                 rollback => '{\"topic\": \"letters.in\", \"key\": \"c\", \"payload\": {}}')",
        )
        .await;
    let tasks =
        "select concat_ws(' ', idempotency_key, handled, status, headers) from wasaga.task_out
        where topic = 'letters.out' order by id";
    let expected = [
        "i-1 t ready [[\"stamp\", \"i-1\"]]",
        "i-2 t ready [[\"stamp\", \"i-2\"]]",
        "i-3 t ready []",
        "i-4 f rollback []",
    ];
    until(&world, "each is seen, and then published", tasks, &expected).await;
    let ids = "select (lag(finished_at, 1, '-infinity') over (order by id) <= finished_at)::text from wasaga.task_out
        where topic = 'letters.out' and key = 'a'";
    assert_eq!(world.texts(ids).await, ["true", "true"], "in the order of the key");
    until(&world, "what was refused is rolled back", DONE, &["c in"]).await;
    assert_eq!(letter(&host, "out").await["reason"]["code"], "never");
}
