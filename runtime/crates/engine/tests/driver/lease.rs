//! The host's own lease.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use wasaga_domain::clock::{Clock as _, SystemClock};
use wasaga_store::lease::HostLease;

use crate::{
    proxy::{Line, Proxy},
    stage::{Stage, bounded},
};

#[tokio::test]
async fn a_database_that_hangs_ends_the_lease_before_others_may_take_over() {
    lets_go_in_time(Line::Silent).await;
}

#[tokio::test]
async fn a_database_that_is_away_ends_the_lease_before_others_may_take_over() {
    lets_go_in_time(Line::Away).await;
}

async fn lets_go_in_time(line: Line) {
    bounded(async {
        let stage = Stage::new("a").await;
        let proxy = Proxy::start(&stage.db.url).await;
        let store = stage.store_behind(&proxy);
        // More connections than the beats within a lease take.
        let pings = join_all((0..8).map(|_| store.ping())).await;
        assert!(pings.iter().all(Result::is_ok), "{pings:?}");
        // A tenth of it is what the test has to notice.
        let good_for = Duration::from_secs(6);
        let lease = HostLease::start(store, "test".into(), "0", good_for).await.unwrap();
        let mut host = lease.host();
        let first = host.borrow_and_update().unwrap();
        proxy.turn(line);
        let lost = timeout(2 * good_for, host.wait_for(Option::is_none)).await;
        assert!(lost.is_ok(), "it still counts as held");
        drop(lost);
        let at = SystemClock.now();
        let left = format!(
            "select (lease_until > to_timestamp({} / 1000.0))::text from wasaga.hosts where id = {}",
            at.0, first.0
        );
        assert_eq!(stage.db.texts(&left).await, [Some("true".into())], "others may lead already");
        proxy.turn(Line::Open);
        let again = timeout(10 * good_for, host.wait_for(Option::is_some)).await;
        let again = again.expect("it registers again").unwrap().unwrap();
        assert!(again > first, "{again:?} after {first:?}");
        lease.stop().await;
    })
    .await;
}
