//! The inbox on a real Postgres, with a plugin of the test's own.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod inbox_parts;
#[path = "driver/proxy.rs"]
#[allow(dead_code, reason = "the driver's tests use all of it")]
mod proxy;

use std::time::Duration;

use inbox_parts::{Host, World};
use wasaga_domain::{
    ids::Digest,
    outcome::{ErrorDetail, Failure},
    ports::GuestDatabase,
};

fn retryable() -> Failure {
    Failure::Retryable { detail: ErrorDetail::new("busy", "try again"), after: None }
}

#[tokio::test]
async fn records_are_handled_and_their_effects_sent() {
    let world = World::new().await;
    for offset in 0..50 {
        world.record("commands", offset, Some(&format!("k{}", offset % 7)), "do it").await;
    }
    let host = Host::start(&world).await;
    world
        .until("select count(*) = 50 from wasaga.task_in where status = 'ready' and attempts = 1")
        .await;
    world
        .until("select count(*) = 50 and count(distinct idempotency_key) = 50 from wasaga.task_out")
        .await;
    let calls = host.plugin.calls();
    assert_eq!(calls.len(), 50);
    assert_eq!(calls[0].idempotency_key.split('/').count(), 4);
    for key in 0..7 {
        let key = format!("k{key}");
        let offsets: Vec<_> = host.plugin.offsets_of(&key);
        assert!(offsets.is_sorted(), "{key}: {offsets:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_failing_key_holds_up_itself_alone_and_ends_in_the_dead_letters() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    host.plugin.on("bad", |call| if call.attempt < 3 { Err(retryable()) } else { Ok(vec![]) });
    let release = host.plugin.block("bad");
    // It is to be tried again when the test is over.
    let an_hour = Some(Duration::from_hours(1));
    let detail = ErrorDetail::new("busy", "try again");
    let later = Failure::Retryable { detail, after: an_hour };
    host.plugin.on("later", move |_| Err(later.clone()));
    world.record("commands", 0, Some("bad"), "bad").await;
    world.record("commands", 1, Some("later"), "later").await;
    host.plugin.called("bad", 1).await;
    let waits = "select status = 'wait' and attempts = 1 from wasaga.task_in where value = 'later'";
    world.until(waits).await;
    for offset in 2..8 {
        let key = if offset % 2 == 0 { "bad" } else { "good" };
        world.record("commands", offset, Some(key), key).await;
    }
    world
        .until("select count(*) = 3 from wasaga.task_in where status = 'ready' and value = 'good'")
        .await;
    release.send(()).expect("the call waits");
    world.until("select count(*) = 7 from wasaga.task_in where status = 'ready'").await;
    assert_eq!(host.plugin.offsets_of("bad"), [0, 0, 0, 2, 2, 2, 4, 4, 4, 6, 6, 6]);
    assert_eq!(host.plugin.offsets_of("good"), [3, 5, 7]);
    assert_eq!(host.plugin.offsets_of("later"), [1]);

    let used_up = |_: &_| Err(retryable());
    host.plugin.on("used-up", used_up);
    host.plugin.on("permanent", |_| Err(Failure::Permanent(ErrorDetail::new("no\0", "never\0"))));
    world.record("commands", 8, Some("u"), "used-up").await;
    world.record("commands", 9, Some("p"), "permanent").await;
    host.stored.notify_one();
    world
        .until("select bool_or(reason->>'code' = 'busy' and attempts = 4)
            and bool_or(reason->>'code' = E'no\u{fffd}' and attempts = 1) from wasaga.dead_letter_in")
        .await;
    world.until("select count(*) = 2 from wasaga.task_in where status = 'error'").await;
    host.stop().await;
}

#[tokio::test]
async fn replies_go_to_who_waits_or_are_kept() {
    let world = World::new().await;
    world.waiting_saga("replies", "c1").await;
    for (offset, key) in ["c1", "early", "early", "c1"].into_iter().enumerate() {
        world.record("replies", offset as i64, Some(key), "{}").await;
    }
    world.record("replies", 4, None, "{}").await;
    // Longer than an index entry may be: it alone is refused.
    let long: String = (0_u32..150).map(|n| Digest::of(&n.to_be_bytes()).to_string()).collect();
    world.record("replies", 5, Some(&long), "{}").await;
    let host = Host::start(&world).await;
    world.until("select count(*) = 4 from wasaga.task_in where status = 'ready'").await;
    world.until("select count(*) = 2 from wasaga.dead_letter_in where reason->>'code' in ('no-correlation', 'commit-refused')").await;
    world.until("select mail = 1 and ready_at is not null from wasaga.sagas").await;
    world
        .until("select count(*) = 1 from wasaga.mail where kind = 'reply' and correlation = 'c1'")
        .await;
    world
        .until("select cardinality(arrived_keys) = 2 from wasaga.waits where correlation = 'early'")
        .await;
    host.sagas_woken().await;
    host.stop().await;
}

#[tokio::test]
async fn an_absent_plugin_or_subscriber_costs_no_attempts() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    host.plugin
        .on("absent", |_| Err(Failure::Unavailable(ErrorDetail::new("absent", "not here yet"))));
    world.record("commands", 0, Some("a"), "absent").await;
    world.record("unheard", 0, Some("a"), "x").await;
    host.plugin.called("absent", 3).await;
    host.plugin.on("absent", |_| Ok(vec![]));
    world
        .until("select count(*) = 1 from wasaga.task_in where status = 'ready' and attempts = 1")
        .await;
    world
        .until("select count(*) = 1 from wasaga.task_in where status = 'wait' and attempts = 0")
        .await;
    host.subscribe("unheard");
    world
        .until("select count(*) = 2 from wasaga.task_in where status = 'ready' and attempts = 1")
        .await;
    host.stop().await;
}

#[tokio::test]
async fn bad_data_fails_its_own_attempt_and_no_other() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    host.plugin.on("nul", |_| Ok(vec![inbox_parts::send("to\0pic")]));
    for offset in 0..20 {
        let what = if offset == 7 { "nul" } else { "fine" };
        world.record("commands", offset, Some(&format!("k{offset}")), what).await;
    }
    world.until("select count(*) = 19 from wasaga.task_in where status = 'ready'").await;
    world.until("select count(*) = 1 from wasaga.dead_letter_in where reason->>'code' = 'commit-refused'").await;
    world.until("select count(*) = 19 from wasaga.task_out").await;
    host.stop().await;
}

#[tokio::test]
async fn a_guests_own_sql_is_committed_with_its_task() {
    let world = World::with_notes().await;
    let host = Host::start(&world).await;
    let store = world.store();
    host.plugin.with_sql(move |plugin, deadline, value| {
        let store = store.clone();
        Box::pin(async move {
            let mut transaction = store.begin(&plugin, deadline).await.expect("a connection");
            let insert = "insert into notes (note) values ('done')";
            transaction.execute(insert, &[]).await.expect("its own table");
            if value == "sql-fails" {
                transaction
                    .execute("insert into nowhere values (1)", &[])
                    .await
                    .expect_err("no such table");
            }
            transaction
        })
    });
    for offset in 0..10 {
        world.record("commands", offset, Some(&format!("k{}", offset % 3)), "sql").await;
    }
    world.record("commands", 10, Some("x"), "sql-fails").await;
    world
        .until("select count(*) = 10 from wasaga.task_in where status = 'ready' and attempts = 1")
        .await;
    world.until("select count(*) = 1 from wasaga.dead_letter_in where reason->>'code' = 'commit-refused'").await;
    world.until("select count(*) = 10 from plugin_worker.notes").await;
    host.stop().await;
}

#[tokio::test]
async fn a_guests_own_conflict_fails_its_attempt_and_is_not_tried_for_ever() {
    let world = World::with_notes().await;
    let host = Host::start(&world).await;
    host.plugin.with_notes(&world.store());
    world.record("commands", 0, Some("k"), "clash").await;
    world
        .until("select count(*) = 1 from wasaga.dead_letter_in where reason->>'code' = 'commit-refused' and attempts = 4")
        .await;
    assert_eq!(host.plugin.calls().len(), 4);
    world.until("select count(*) = 0 from plugin_worker.notes").await;
    host.stop().await;
}

#[tokio::test]
async fn two_hosts_share_the_lanes_and_one_takes_over() {
    let world = World::new().await;
    let one = Host::start(&world).await;
    world
        .until("select count(*) = 16 from wasaga.lanes where flow = 'in' and host_id is not null")
        .await;
    let two = Host::start(&world).await;
    world.until("select count(distinct host_id) = 2 and min(held) = 8 from (select host_id, count(*) as held
        from wasaga.lanes where flow = 'in' group by 1) h").await;
    for offset in 0..64 {
        world.record("commands", offset, Some(&format!("k{offset}")), "fine").await;
    }
    world.until("select count(*) = 64 from wasaga.task_in where status = 'ready'").await;
    assert!(!one.plugin.calls().is_empty() && !two.plugin.calls().is_empty());
    assert_eq!(one.plugin.calls().len() + two.plugin.calls().len(), 64);
    two.stop().await;
    for offset in 64..96 {
        world.record("commands", offset, Some(&format!("k{offset}")), "fine").await;
    }
    world.until("select count(*) = 96 from wasaga.task_in where status = 'ready'").await;
    one.stop().await;
}

#[tokio::test]
async fn a_host_that_lost_its_lease_commits_nothing() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    let release = host.plugin.block("slow");
    world.record("commands", 0, Some("a"), "slow").await;
    host.plugin.called("slow", 1).await;
    world.run("update wasaga.lanes set epoch = epoch + 1, host_id = null; update wasaga.hosts set lease_until = now()").await;
    release.send(()).expect("the call waits");
    let other = Host::start(&world).await;
    world.until("select count(*) = 1 from wasaga.task_in where status = 'ready'").await;
    assert_eq!(other.plugin.calls().len(), 1);
    world.until("select count(*) = 1 from wasaga.task_out").await;
    tokio::time::timeout(Duration::from_secs(15), host.stop()).await.expect("a stop is bounded");
    other.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_what_is_under_way() {
    let world = World::new().await;
    let host = Host::start(&world).await;
    let release = host.plugin.block("slow");
    world.record("commands", 0, Some("a"), "slow").await;
    host.plugin.called("slow", 1).await;
    let stopping = tokio::spawn(host.stop());
    release.send(()).expect("the call waits");
    stopping.await.expect("it stops");
    world.until("select count(*) = 1 from wasaga.task_in where status = 'ready'").await;
    world
        .until("select count(*) = 0 from wasaga.lanes where flow = 'in' and host_id is not null")
        .await;
}

#[tokio::test]
async fn connections_cut_at_any_time_lose_and_double_nothing() {
    let world = World::new().await;
    // The test's own connections, older than the host's, are left alone.
    let warm = || world.run("select pg_sleep(0.1)");
    tokio::join!(warm(), warm(), warm(), warm());
    world.run("create table public.began as select clock_timestamp() as at").await;
    let host = Host::start(&world).await;
    for offset in 0..300 {
        let key = format!("k{}", offset % 100);
        world.record("commands", offset, Some(&key), "fine").await;
    }
    for _ in 0..10 {
        world
            .run(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and backend_start > (select at from public.began)",
            )
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world
        .until("select count(*) = 300 from wasaga.task_in where status = 'ready' and attempts = 1")
        .await;
    world
        .until(
            "select count(*) = 300 and count(distinct idempotency_key) = 300 from wasaga.task_out",
        )
        .await;
    host.stop().await;
}
