//! Commits whose answer never came: nothing is lost, nothing is done twice.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Host, World};
use crate::proxy::{Cut, Proxy};

const FINISH: &str = "wasaga.tasks_finish(";
const DELIVER: &str = "wasaga.replies_deliver(";
const GUEST_FINISH: &str = "wasaga_guest.tasks_finish(";

async fn is_cut(proxy: &Proxy) {
    let cut = async {
        while proxy.cuts() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), cut).await.expect("a connection is cut");
}

async fn all_ended_once(world: &World, tasks: usize) {
    world
        .until(&format!(
            "select count(*) = {tasks} and count(*) = count(*) filter (where status = 'ready' and attempts = 1)
             from wasaga.task_in"
        ))
        .await;
}

async fn all_sent_once(world: &World, tasks: usize) {
    world
        .until(&format!(
            "select count(*) = {tasks} and count(distinct idempotency_key) = {tasks} from wasaga.task_out"
        ))
        .await;
}

#[tokio::test]
async fn a_cut_batch_of_ends_is_neither_lost_nor_repeated() {
    for cut in [Cut::BeforeCall, Cut::AfterCall] {
        let world = World::new().await;
        let proxy = Proxy::start(world.url()).await;
        proxy.cut_next(FINISH, cut);
        for offset in 0..20 {
            world.record("commands", offset, Some(&format!("k{offset}")), "fine").await;
        }
        let host = Host::start_on(world.store_behind(&proxy)).await;
        is_cut(&proxy).await;
        all_ended_once(&world, 20).await;
        all_sent_once(&world, 20).await;
        assert_eq!(host.plugin.calls().len(), 20, "{cut:?}");
        host.stop().await;
    }
}

#[tokio::test]
async fn a_cut_batch_of_replies_is_delivered_once() {
    for (call, cut) in [
        (FINISH, Cut::BeforeCall),
        (FINISH, Cut::AfterCall),
        (DELIVER, Cut::BeforeCall),
        (DELIVER, Cut::AfterCall),
        (DELIVER, Cut::BeforeCommit),
        (DELIVER, Cut::AfterCommit),
    ] {
        let world = World::new().await;
        let proxy = Proxy::start(world.url()).await;
        proxy.cut_next(call, cut);
        world.waiting_saga("replies", "c1").await;
        for (offset, key) in ["c1", "early", "early"].into_iter().enumerate() {
            world.record("replies", offset as i64, Some(key), "{}").await;
        }
        let host = Host::start_on(world.store_behind(&proxy)).await;
        is_cut(&proxy).await;
        all_ended_once(&world, 3).await;
        host.sagas_woken().await;
        world.until("select mail = 1 and ready_at is not null from wasaga.sagas").await;
        world.until("select count(*) = 1 from wasaga.mail").await;
        world
            .until("select count(*) = 1 and min(cardinality(arrived_keys)) = 2 from wasaga.waits")
            .await;
        host.stop().await;
    }
}

#[tokio::test]
async fn a_guests_cut_commit_is_neither_lost_nor_repeated() {
    for cut in [Cut::BeforeCall, Cut::AfterCall, Cut::BeforeCommit, Cut::AfterCommit] {
        let world = World::with_notes().await;
        let proxy = Proxy::start(world.url()).await;
        let store = world.store_behind(&proxy);
        let host = Host::start_on(store.clone()).await;
        host.plugin.with_notes(&store);
        proxy.cut_next(GUEST_FINISH, cut);
        for offset in 0..6 {
            let value = format!("v{offset}");
            world.record("commands", offset, Some(&value), &value).await;
        }
        is_cut(&proxy).await;
        all_ended_once(&world, 6).await;
        all_sent_once(&world, 6).await;
        world
            .until("select array_agg(note order by note) = '{v0,v1,v2,v3,v4,v5}' from plugin_worker.notes")
            .await;
        let repeated = usize::from(cut != Cut::AfterCommit);
        assert_eq!(host.plugin.calls().len(), 6 + repeated, "{cut:?}");
        host.stop().await;
    }
}
