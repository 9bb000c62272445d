//! Hosts that are lost while a guest runs: three in a row, and its record is not tried again.

use wasaga_domain::outcome::{ErrorDetail, Failure};

use super::{Host, World};

#[tokio::test]
async fn a_record_that_loses_three_hosts_goes_to_the_dead_letters() {
    let world = World::new().await;
    world.record("commands", 0, Some("a"), "killer").await;
    world.record("commands", 1, Some("a"), "behind").await;
    let mut lost = Vec::new();
    for _ in 0..3 {
        let host = Host::start(&world).await;
        let release = host.plugin.block("killer");
        host.plugin.called("killer", 1).await;
        world.run(&host.lost()).await;
        lost.push((host, release));
    }
    let host = Host::start(&world).await;
    world
        .until(
            "select reason->>'code' = 'interrupted' and reason->>'message' like '%lost 3 times%'
            from wasaga.dead_letter_in",
        )
        .await;
    world.until("select count(*) = 1 from wasaga.task_in where status = 'ready'").await;
    assert_eq!(host.plugin.offsets_of("a"), [1], "only the one behind it is called for");
    world.until("select count(*) = 1 from wasaga.dead_letter_in").await;
    for (_, release) in lost {
        release.send(()).expect("the call waits");
    }
    host.stop().await;
}

#[tokio::test]
async fn an_attempt_that_ends_breaks_the_row() {
    let world = World::new().await;
    world.record("commands", 0, Some("a"), "slow").await;
    let mut lost = Vec::new();
    for round in 0..4 {
        let host = Host::start(&world).await;
        host.plugin.on("slow", |_| {
            let detail = ErrorDetail::new("busy", "try again");
            Err(Failure::Retryable { detail, after: None })
        });
        let mut release = host.plugin.block("slow");
        host.plugin.called("slow", 1).await;
        if round == 2 {
            let again = host.plugin.block("slow");
            release.send(()).expect("the call waits");
            host.plugin.called("slow", 2).await;
            release = again;
        }
        world.run(&host.lost()).await;
        lost.push((host, release));
    }
    let host = Host::start(&world).await;
    world.until("select status = 'ready' and attempts = 2 from wasaga.task_in").await;
    for (_, release) in lost {
        release.send(()).expect("the call waits");
    }
    host.stop().await;
}

#[tokio::test]
async fn neither_a_record_that_nobody_takes_nor_a_lane_given_back_counts() {
    let world = World::new().await;
    world.record("commands", 0, Some("a"), "absent").await;
    world.record("commands", 1, Some("b"), "slow").await;
    let mut gone = Vec::new();
    for _ in 0..3 {
        let host = Host::start(&world).await;
        host.plugin.on("absent", |_| {
            Err(Failure::Unavailable(ErrorDetail::new("absent", "not here yet")))
        });
        let release = host.plugin.block("slow");
        host.plugin.called("slow", 1).await;
        host.plugin.called("absent", 1).await;
        world.until("select status = 'wait' from wasaga.task_in where value = 'absent'").await;
        // As a stop does that waited long enough for its calls.
        let given_back = "update wasaga.lanes set host_id = null where flow = 'in' and lane =
            (select lane from wasaga.task_in where value = 'slow')";
        world.run(&format!("{given_back}; {}", host.lost())).await;
        gone.push((host, release));
    }
    let host = Host::start(&world).await;
    world.until("select count(*) = 2 from wasaga.task_in where status = 'ready'").await;
    world.until("select count(*) = 0 from wasaga.dead_letter_in").await;
    for (_, release) in gone {
        release.send(()).expect("the call waits");
    }
    host.stop().await;
}
