//! The relay while its broker is killed, and while its host is, each on a real Kafka; and what wakes it.

use std::time::{Duration, Instant};

use serde_json::json;
use wasaga_services::process;
use wasaga_tests::{Host, PATIENCE, World, check::promises, eventually};

/// Its tasks are done at once, and their records come from the topic `bench`.
const WORKER: &str = "bench-tasks-rust";

const WAITING: &str = "select count(*) from wasaga.task_out where status = 'wait'";
const CONSUMED: &str = "select coalesce(sum(next), 0)::bigint from wasaga.next_offsets";
/// Messages out that are no task of their own that is done.
const LOST: &str = "select count(*) from wasaga.task_out o where not exists (
    select from wasaga.task_in i where i.message_id = o.message_id::text and i.status = 'ready')";

/// Messages that were published before an earlier one of their key: here, all are emitted one after the other.
const OVERTAKING: &str = "select count(*)
    from wasaga.task_out earlier join wasaga.task_out later using (topic, key)
    join wasaga.task_in i on i.topic = earlier.topic and i.message_id = earlier.message_id::text
    join wasaga.task_in j on j.topic = later.topic and j.message_id = later.message_id::text
    where earlier.id < later.id and i.partition = j.partition and i.\"offset\" > j.\"offset\"";

async fn emit(world: &World, messages: usize) {
    let emit = "wasaga.emit('bench', 'k-' || n % 7, to_jsonb(n))";
    world.run(&format!("select {emit} from generate_series(1, {messages}) n")).await;
}

async fn all_done(world: &World) {
    eventually("all is published, and all is done", 2 * PATIENCE, async || {
        (world.number(WAITING).await == 0 && world.number(LOST).await == 0).then_some(())
    })
    .await;
    assert_eq!(world.number(OVERTAKING).await, 0);
    promises(world).await;
}

#[tokio::test]
async fn broker_killed_for_a_minute_under_load() {
    let mut world = World::on_kafka(&[WORKER]).await;
    let host = world.host().start().await;
    emit(&world, 100).await;
    all_done(&world).await;

    emit(&world, 2_000).await;
    world.kafka.as_mut().expect("it has one").kill9().expect("Kafka is killed");
    let since = Instant::now();
    let lines = || host.log().lines().count();
    let (logged, cpu) = (lines(), process::cpu_seconds(host.pid()).expect("it runs"));
    let failures = host.api.metric("wasaga_outbox_failures_total").await;
    let mut emitted = 2_100;
    while since.elapsed() < Duration::from_mins(1) {
        emit(&world, 50).await;
        emitted += 50;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let logged = lines() - logged;
    let cpu = process::cpu_seconds(host.pid()).expect("it runs") - cpu;
    let failures = host.api.metric("wasaga_outbox_failures_total").await - failures;
    assert!(logged < 300, "it logs too much: {logged} lines in a minute");
    assert!(cpu < 15.0, "it works too much: {cpu} s of CPU in a minute");
    // Of each of seven keys one message at a time, which rests for longer and longer.
    assert!((7.0..7.0 * 60.0).contains(&failures), "{failures} failures in a minute");
    let behind = host.logged("the outbox is behind").await;
    assert!(behind.contains("oldest_seconds"), "{behind}");
    assert!(host.api.metric("wasaga_outbox_oldest_seconds").await >= 30.0);

    world.kafka.as_mut().expect("it has one").start_again().expect("Kafka starts");
    all_done(&world).await;
    host.logged("the outbox has caught up").await;
    assert_eq!(world.number("select count(*) from wasaga.task_out").await, emitted);
}

#[tokio::test]
async fn host_killed_between_publish_and_mark() {
    const MESSAGES: usize = 20;
    let world = World::on_kafka(&[WORKER]).await;
    let mut host = world.host().start().await;
    // Marks wait for whoever holds this lock.
    world
        .run(
            "create function hold() returns trigger language plpgsql as $$ begin
                 perform pg_advisory_xact_lock_shared(1); return new;
             end $$;
             create trigger hold before update on wasaga.task_out for each row execute function hold()",
        )
        .await;
    let mut lock = world.session().await;
    lock.run("select pg_advisory_lock(1)").await;
    emit(&world, MESSAGES).await;
    eventually("all are published, and none is marked", PATIENCE, async || {
        (world.number(CONSUMED).await == MESSAGES as i64).then_some(())
    })
    .await;
    assert_eq!(world.number(WAITING).await, MESSAGES as i64);
    host.kill9();
    // Its marks end with it, as they do when the machine ends.
    world
        .run(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
             where datname = current_database() and wait_event = 'advisory'",
        )
        .await;
    lock.run("drop trigger hold on wasaga.task_out; select pg_advisory_unlock(1)").await;
    assert_eq!(world.number(WAITING).await, MESSAGES as i64, "no mark was made");

    let _host = world.host().start().await;
    all_done(&world).await;
    eventually("all of it came twice", PATIENCE, async || {
        (world.number(CONSUMED).await == 2 * MESSAGES as i64).then_some(())
    })
    .await;
    assert_eq!(world.number("select count(*) from wasaga.task_in").await, MESSAGES as i64);
}

/// Has a read of the outbox fail: the relay reads again when it is told of a message, or after a sweep.
async fn put_to_rest(world: &World, host: &Host) {
    let failed = || host.log().matches("the outbox can't be read").count();
    let before = failed();
    world.run("alter function wasaga.task_out_waiting rename to task_out_away").await;
    eventually("a read fails", PATIENCE, async || (failed() > before).then_some(())).await;
    world.run("alter function wasaga.task_out_away rename to task_out_waiting").await;
}

async fn published(world: &World, topic: &str) {
    let ready = format!(
        "select count(*) from wasaga.task_out where topic = '{topic}' and status = 'ready'"
    );
    eventually(format!("what is for {topic} is published"), PATIENCE, async || {
        (world.number(&ready).await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_its_host_commits_wakes_it() {
    let world = World::embedded(&["letters-rust", "probe-rust"]).await;
    // What nobody tells of is found after the test.
    let host = world.host().set("engine.sweep_ms", 600_000).set("flows.publish_first_ms", 10_000);
    let host = host.start().await;

    put_to_rest(&world, &host).await;
    emit(&world, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.number(WAITING).await, 1, "an application's commit tells nobody");
    let event = json!({"topic": "woken.by-request"});
    assert_eq!(host.api.post("/api/v1/events", &event).await.status, 201);
    published(&world, "woken.by-request").await;
    published(&world, "bench").await;

    // A plugin's answer to what is on its way out.
    put_to_rest(&world, &host).await;
    world.run("select wasaga.emit('letters.out', 'k', '{}')").await;
    published(&world, "letters.out").await;

    // What a plugin sends that handles a record, which comes past the relay.
    put_to_rest(&world, &host).await;
    let record = json!({"topic": "letters.in", "key": "k", "payload": {}});
    let first = host.api.post("/api/v1/events?mode=publish-first", &record).await;
    assert_eq!(first.body["status"], "published", "{}", first.text);
    published(&world, "letters.done").await;

    // What a step sends.
    put_to_rest(&world, &host).await;
    let step = json!({"do": "done", "send": [{"topic": "probe.sent"}]});
    let saga = host.api.probe(&json!({"steps": {"a": [step]}})).await;
    published(&world, "probe.sent").await;
    host.api.reaches(&saga, "completed").await;
}
