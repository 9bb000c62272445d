//! Dead letters: found, shown, mended, redriven and discarded.

use serde_json::{Value, json};

use wasaga_store::lanes::Flow;

use crate::host::Host;

const SAGA: &str = "00000000-0000-4000-8000-000000000001";

/// Three records that were given up on their way in, each an hour older than the one before, and two messages on their way out.
async fn host() -> Host {
    let host = Host::start().await;
    host.database
        .run(&format!(
            "insert into wasaga.dead_letter_in (task_id, lane, reason, attempts, cluster, topic, partition, \"offset\",
                 key, headers, value, created_at)
             values (11, 3, '{{\"code\": \"trap\", \"message\": \"m\"}}', 10, 'c', 'orders', 0, 5, 'k-1',
                     '[[\"idempotency-key\", \"i-1\"]]', '{{\"price\": 1.50}}', now() - interval '2 hours'),
                 (12, 4, '{{\"code\": \"bad\", \"message\": \"m\"}}', 1, 'c', 'orders', 0, 6, 'k-2', '[]',
                     'no json', now() - interval '1 hour'),
                 (13, 5, '{{\"code\": \"refused-by-postgres\", \"at\": {{\"topic\": \"forms\"}}}}', 0, 'c', 'forms', 0, 7,
                     null, '[]', null, now());
             insert into wasaga.dead_letter_out (task_id, reason, attempts, max_attempts, message_id, saga_id,
                 idempotency_key, aggregate_id, event_type, topic, key, headers, value, rollback)
             values (21, '{{\"code\": \"kafka-unknown-topic\", \"message\": \"m\"}}', 3, 3,
                     '00000000-0000-4000-8000-00000000000a', '{SAGA}', 's/1', 'o-1', 'placed', 'missing', 'o-1',
                     '[[\"ce_id\", \"00000000-0000-4000-8000-00000000000a\"], [\"tenant\", \"acme\"]]', '{{}}',
                     '{{\"topic\": \"undo\"}}'),
                 (22, '{{\"code\": \"kafka-unknown-topic\", \"message\": \"m\"}}', 3, null, gen_random_uuid(), null,
                     null, null, null, 'missing', '\\xff', '[]', '\\xff', null)"
        ))
        .await;
    host
}

async fn ids(host: &Host, path: &str) -> Vec<i64> {
    let page = host.get(&format!("/api/v1/dead-letters/{path}")).await.json();
    let letters = page["letters"].as_array().unwrap().iter();
    letters.map(|letter| letter["letter_id"].as_i64().unwrap()).collect()
}

async fn texts(host: &Host, query: &str) -> Vec<String> {
    host.database.texts(query).await.into_iter().flatten().collect()
}

#[tokio::test]
async fn letters_are_found_newest_first_by_what_they_are() {
    let host = host().await;
    for (path, expected) in [
        ("in", vec![3, 2, 1]),
        ("in?topic=orders", vec![2, 1]),
        ("in?topic=orders&key=k-1", vec![1]),
        ("in?reason=bad", vec![2]),
        ("in?older_than=90m", vec![1]),
        ("in?status=wait,error&id=1,3", vec![3, 1]),
        ("in?status=ready", vec![]),
        ("out?saga=00000000-0000-4000-8000-000000000001", vec![1]),
    ] {
        assert_eq!(ids(&host, path).await, expected, "{path}");
    }
    let first = host.get("/api/v1/dead-letters/in?limit=2").await.json();
    assert_eq!(first["letters"][0]["reason"]["code"], "refused-by-postgres");
    let next = first["next"].as_str().unwrap();
    assert_eq!(ids(&host, &format!("in?limit=2&after={next}")).await, [1]);
    for query in ["staus=wait", "status=open", "limit=0", "after=x", "saga=o-1", "all=true"] {
        let problem = host.get(&format!("/api/v1/dead-letters/out?{query}")).await.problem(400);
        assert_eq!(problem["type"], "urn:wasaga:problem:bad-parameter", "{query}");
    }
    let of_saga = format!("/api/v1/dead-letters/in?saga={SAGA}");
    assert_eq!(host.get(&of_saga).await.problem(400)["type"], "urn:wasaga:problem:bad-parameter");
    host.get("/api/v1/dead-letters/lost").await.problem(404);
}

#[tokio::test]
async fn a_letter_is_shown_with_what_it_carries() {
    let host = host().await;
    let text = host.get("/api/v1/dead-letters/in/1").await.text;
    assert!(text.contains("{\"price\": 1.50}"), "digit by digit: {text}");
    let shown: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "letter_id": 1, "flow": "in", "status": "wait", "ending": null,
        "reason": { "code": "trap", "message": "m" }, "attempts": 10, "task_id": 11, "topic": "orders", "key": "k-1",
        "cluster": "c", "partition": 0, "offset": 5, "edited": false, "finished_at": null,
        "headers": [["idempotency-key", "i-1"]], "value": { "json": { "price": 1.50 } }, "original": null,
        "handling_attempts": 0, "handling_error": null, "verbs": [], "created_at": shown["created_at"],
    });
    assert_eq!(shown, expected);
    let text = host.get("/api/v1/dead-letters/in/2").await.json();
    assert_eq!(text["value"], json!({ "text": "no json" }));
    let out = host.get("/api/v1/dead-letters/out/1").await.json();
    assert_eq!((&out["saga_id"], &out["aggregate_id"]), (&json!(SAGA), &json!("o-1")));
    assert_eq!((&out["event_type"], &out["idempotency_key"]), (&json!("placed"), &json!("s/1")));
    let bytes = host.get("/api/v1/dead-letters/out/2").await.json();
    let base64 = json!({ "base64": "/w==" });
    assert_eq!((&bytes["key"], &bytes["value"]), (&base64, &base64));
    let unknown = host.get("/api/v1/dead-letters/out/9").await.problem(404);
    assert_eq!(unknown["type"], "urn:wasaga:problem:unknown-letter");
    host.get("/api/v1/dead-letters/out/x").await.problem(400);
}

#[tokio::test]
async fn a_redrive_is_a_new_task_under_the_old_key_and_final() {
    let host = host().await;
    let by = json!({ "by": "ada", "reason": "the plugin is mended" });
    let done = host.post("/api/v1/dead-letters/in/1/redrive", &by).await;
    let task = texts(&host, "select id::text from wasaga.task_in").await.remove(0);
    let task_id: i64 = task.parse().unwrap();
    let expected = json!({ "letter_id": 1, "flow": "in", "verb": "redrive", "task_id": task_id });
    assert_eq!((done.status, done.json()), (200, expected));
    let task = "select concat_ws(' ', lane, status, attempts, topic, \"offset\", convert_from(key, 'UTF8'), headers,
        convert_from(value, 'UTF8')) from wasaga.task_in";
    assert_eq!(
        texts(&host, task).await,
        ["3 wait 0 orders 5 k-1 [[\"idempotency-key\", \"i-1\"]] {\"price\": 1.50}"]
    );

    let again = host.post("/api/v1/dead-letters/in/1/redrive", &by).await.problem(409);
    assert_eq!(again["type"], "urn:wasaga:problem:final-letter");
    assert!(again["detail"].as_str().unwrap().contains("was redriven"), "{again}");
    host.post("/api/v1/dead-letters/in/1/discard", &by).await.problem(409);
    let edit = json!({ "value": null });
    host.patch("/api/v1/dead-letters/in/1", &edit).await.problem(409);
    assert_eq!(texts(&host, task).await.len(), 1, "no second task");
    let shown = host.get("/api/v1/dead-letters/in/1").await.json();
    assert_eq!((&shown["status"], &shown["ending"]), (&json!("ready"), &json!("redriven")));
    let verb = json!({ "verb": "redrive", "by": "ada", "reason": "the plugin is mended", "task_id": task_id,
        "at": shown["verbs"][0]["at"] });
    assert_eq!(shown["verbs"], json!([verb]));

    host.post_raw("/api/v1/dead-letters/out/1/redrive", "", "").await;
    let out = "select concat_ws(' ', idempotency_key, saga_id, aggregate_id, event_type, max_attempts, topic,
            message_id <> '00000000-0000-4000-8000-00000000000a', headers #>> '{0,1}' = message_id::text,
            headers #>> '{1,1}', rollback ->> 'topic')
        from wasaga.task_out";
    assert_eq!(
        texts(&host, out).await,
        [format!("s/1 {SAGA} o-1 placed 3 missing t t acme undo")],
        "another message of the same key, also as a CloudEvent"
    );
}

#[tokio::test]
async fn of_what_was_not_kept_nothing_is_redriven_until_somebody_writes_it() {
    let host = host().await;
    let refused = host.post_raw("/api/v1/dead-letters/in/3/redrive", "", "").await.problem(422);
    assert!(refused["detail"].as_str().unwrap().contains("edit it first"), "{refused}");
    // Neither a header nor a key is what the record said.
    for edit in [json!({ "headers": [["tenant", "acme"]] }), json!({ "key": "k" })] {
        assert_eq!(host.patch("/api/v1/dead-letters/in/3", &edit).await.status, 200);
        host.post_raw("/api/v1/dead-letters/in/3/redrive", "", "").await.problem(422);
    }
    let value = json!({ "value": { "json": { "form": 1 } } });
    assert_eq!(host.patch("/api/v1/dead-letters/in/3", &value).await.status, 200);
    assert_eq!(host.post_raw("/api/v1/dead-letters/in/3/redrive", "", "").await.status, 200);
    let value = "select convert_from(value, 'UTF8') from wasaga.task_in";
    assert_eq!(texts(&host, value).await, ["{\"form\":1}"]);
}

#[tokio::test]
async fn an_edit_keeps_what_was_and_stands_in_the_audit() {
    let host = host().await;
    let edit = |body: Value| {
        let host = &host;
        async move { host.patch("/api/v1/dead-letters/in/1", &body).await }
    };
    let first = json!({ "key": "other", "value": { "json": { "price": 2 } }, "by": "ada", "reason": "a typo" });
    let first = edit(first).await;
    assert_eq!(first.status, 200, "{}", first.text);
    edit(json!({ "key": null, "headers": [["a", { "base64": "/w==" }]] })).await;
    let shown = host.get("/api/v1/dead-letters/in/1").await.json();
    assert_eq!((&shown["key"], &shown["edited"]), (&json!(null), &json!(true)));
    assert_eq!(shown["value"], json!({ "json": { "price": 2 } }));
    assert_eq!(shown["headers"], json!([["a", { "base64": "/w==" }]]));
    let original = json!({ "topic": "orders", "key": "k-1", "headers": [["idempotency-key", "i-1"]],
        "value": { "json": { "price": 1.50 } } });
    assert_eq!(shown["original"], original);
    let verbs = shown["verbs"].as_array().unwrap().iter();
    let verbs: Vec<_> = verbs.map(|v| v["reason"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["a typo", "edit over the API"]);
    let lane = texts(&host, "select lane::text from wasaga.dead_letter_in where id = 1").await;
    assert_ne!(lane, ["3"], "another key, another lane");

    for (body, at) in [
        (json!({}), ""),
        (json!({ "reason": "none" }), ""),
        (json!({ "topic": "t" }), "/topic"),
        (json!({ "key": 5 }), "/key"),
        (json!({ "headers": [["a"]] }), "/headers"),
        (json!({ "value": { "base64": "?" } }), "/value"),
    ] {
        let problem = edit(body.clone()).await.problem(422);
        assert_eq!(problem["errors"][0]["pointer"], at, "{body}");
    }
    edit(json!({ "value": "text" })).await.problem(400);
    edit(json!({ "valeu": null })).await.problem(400);
    let topic = json!({ "topic": "no topic" });
    host.patch("/api/v1/dead-letters/out/1", &topic).await.problem(422);
    let topic = json!({ "topic": "found" });
    let out = host.patch("/api/v1/dead-letters/out/1", &topic).await.json();
    assert_eq!((&out["topic"], &out["original"]["topic"]), (&json!("found"), &json!("missing")));

    for body in [json!({ "topic": ".." }), json!({ "headers": [["message-id", "m"]] })] {
        host.patch("/api/v1/dead-letters/out/1", &body).await.problem(422);
    }
    edit(json!({ "headers": [["message-id", "m"]] })).await.json();
    for body in [
        json!({ "headers": [["a\0", "b"]] }),
        json!({ "key": "k", "reason": "a\0b" }),
        json!({ "key": "k", "by": "\0" }),
    ] {
        edit(body).await.problem(422);
    }
}

#[tokio::test]
async fn a_letter_at_work_is_edited_once_its_host_has_gone() {
    let host = host().await;
    let lease = std::time::Duration::from_mins(1);
    let worker = host.store.host_register("worker", "0", lease).await.unwrap();
    host.store.lanes_take(worker, Flow::DeadIn, 16).await.unwrap();
    host.database.run("update wasaga.dead_letter_in set status = 'work' where id = 2").await;
    let edit = json!({ "key": "x" });
    let at_work = host.patch("/api/v1/dead-letters/in/2", &edit).await.problem(409);
    assert_eq!(at_work["type"], "urn:wasaga:problem:letter-at-work");
    host.database.run("update wasaga.hosts set lease_until = now()").await;
    let edited = host.patch("/api/v1/dead-letters/in/2", &edit).await.json();
    assert_eq!(edited["key"], "x");
}

#[tokio::test]
async fn operators_at_one_letter_at_once_come_one_after_the_other() {
    let host = host().await;
    let edit = |n: usize| {
        let host = &host;
        async move { host.patch("/api/v1/dead-letters/in/1", &json!({ "key": n.to_string() })).await }
    };
    let (a, b, c, d) = tokio::join!(edit(0), edit(1), edit(2), edit(3));
    for edited in [a, b, c, d] {
        assert_eq!(edited.status, 200, "{}", edited.text);
    }
    let shown = host.get("/api/v1/dead-letters/in/1").await.json();
    assert_eq!(shown["verbs"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_discarded_says_why() {
    let host = host().await;
    let path = "/api/v1/dead-letters/in/2/discard";
    let problem = host.post_raw(path, "", "").await.problem(422);
    assert_eq!(problem["errors"][0]["pointer"], "/reason");
    assert_eq!(host.post(path, &json!({ "reason": "a test's" })).await.status, 200);
    let shown = host.get("/api/v1/dead-letters/in/2").await.json();
    assert_eq!(
        (&shown["ending"], &shown["verbs"][0]["reason"]),
        (&json!("discarded"), &json!("a test's"))
    );
    assert!(texts(&host, "select id::text from wasaga.task_in").await.is_empty());
    host.post("/api/v1/dead-letters/in/9/discard", &json!({ "reason": "x" })).await.problem(404);
    host.post("/api/v1/dead-letters/in/1/forget", &json!({ "reason": "x" })).await.problem(404);
}

#[tokio::test]
async fn many_are_redriven_by_filter_and_a_dry_run_redrives_none() {
    let host = host().await;
    let path = "/api/v1/dead-letters/in/bulk/redrive?topic=orders";
    let dry = host.post_raw(&format!("{path}&dry_run=true"), "", "").await.json();
    let expected =
        json!({ "verb": "redrive", "dry_run": true, "matched": 2, "ended": 0, "next": null });
    assert_eq!(dry, expected);
    assert!(texts(&host, "select id::text from wasaga.task_in").await.is_empty());
    let done = host.post_raw(path, "", "").await.json();
    assert_eq!((&done["matched"], &done["ended"]), (&json!(2), &json!(2)));
    let tasks = "select convert_from(key, 'UTF8') from wasaga.task_in order by id";
    assert_eq!(texts(&host, tasks).await, ["k-1", "k-2"], "the older first");
    let again = host.post_raw(path, "", "").await.json();
    assert_eq!(again["matched"], 0);
    let all = "/api/v1/dead-letters/in/bulk/redrive?all=true";
    let stripped = host.post_raw(all, "", "").await.json();
    assert_eq!((&stripped["matched"], &stripped["ended"]), (&json!(1), &json!(0)));
    for (path, says) in [
        ("redrive", "all=true"),
        ("redrive?status=ready", "have ended"),
        ("redrive?topc=orders", "unknown"),
    ] {
        let path = format!("/api/v1/dead-letters/in/bulk/{path}");
        let problem = host.post_raw(&path, "", "").await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
    host.post_raw("/api/v1/dead-letters/in/bulk/discard?all=true", "", "").await.problem(422);
}

#[tokio::test]
async fn many_of_one_key_are_redriven_in_the_order_in_which_they_were_given_up() {
    let host = host().await;
    let letters = "insert into wasaga.dead_letter_in (task_id, reason, attempts, cluster, topic, partition, \"offset\", key,
            headers, value)
        select n, '{}', 1, 'c', 'many', 0, n, 'k', '[]', 'v' from generate_series(1, 450) n";
    host.database.run(letters).await;
    let done = host.post_raw("/api/v1/dead-letters/in/bulk/redrive?topic=many", "", "").await;
    let expected =
        json!({ "verb": "redrive", "dry_run": false, "matched": 450, "ended": 450, "next": null });
    assert_eq!(done.json(), expected);
    let falls = "select count(*)::text from (select \"offset\" < lag(\"offset\") over (order by id) as falls
        from wasaga.task_in) as tasks where falls";
    assert_eq!(texts(&host, falls).await, ["0"]);
}

#[tokio::test]
async fn a_task_that_was_given_up_is_kept_as_long_as_its_letter_is_open() {
    let host = host().await;
    let tasks = "insert into wasaga.task_in (id, lane, status, cluster, topic, partition, \"offset\", message_id)
            overriding system value
            select id, 0, 'error', 'c', 'orders', 0, id, id from generate_series(11, 12) id;
        insert into wasaga.task_out (id, status, topic)
            select id, 'error_rollback_none', 'missing' from generate_series(21, 22) id";
    host.database.run(tasks).await;
    let kept = "select concat_ws(' ', (select array_agg(id) from wasaga.task_in),
        (select array_agg(id) from wasaga.task_out))";
    let old = "update wasaga.task_in set finished_at = finished_at - interval '1 hour';
        update wasaga.task_out set finished_at = finished_at - interval '1 hour'";
    let minute = std::time::Duration::from_mins(1);
    for (ended, expected) in [("", "{11,12} {21,22}"), ("1", "{12} {22}")] {
        for flow in ["in", "out"].iter().filter(|_| !ended.is_empty()) {
            let path = format!("/api/v1/dead-letters/{flow}/{ended}/discard");
            assert_eq!(host.post(&path, &json!({ "reason": "a test's" })).await.status, 200);
        }
        host.database.run(old).await;
        host.store.task_in_clean(minute, 100).await.unwrap();
        host.store.task_out_forget(60_000, 100).await.unwrap();
        assert_eq!(texts(&host, kept).await, [expected]);
    }
}

#[tokio::test]
async fn letters_that_ended_are_deleted_when_they_are_old_and_open_ones_never() {
    let host = host().await;
    host.post("/api/v1/dead-letters/in/1/discard", &json!({ "reason": "old" })).await;
    host.post("/api/v1/dead-letters/in/2/discard", &json!({ "reason": "young" })).await;
    host.database
        .run(
            "update wasaga.dead_letter_in set created_at = now() - interval '9 days';
             update wasaga.dead_letter_in set finished_at = now() - interval '8 days' where id = 1",
        )
        .await;
    let week = std::time::Duration::from_hours(7 * 24);
    let flow = wasaga_domain::dead_letter::LetterFlow::In;
    assert_eq!(host.store.dead_letters_clean(flow, week, 100).await.unwrap(), 1);
    assert_eq!(ids(&host, "in").await, [3, 2]);
    let audit = "select letter_id::text from wasaga.dead_letter_verbs";
    assert_eq!(texts(&host, audit).await, ["2"]);
}
