//! Lanes go to living hosts, each its share, and each take has a new epoch.

mod support;

use support::{World, register};
use wasaga_store::lanes::Flow;

#[tokio::test]
async fn hosts_share_lanes_and_inherit_those_of_the_dead() {
    let world = World::new().await;
    let (store, first) = (&world.db.store, world.host);
    assert_eq!(store.lanes_share(Flow::In).await.expect("a share"), 16);
    let all = store.lanes_take(first, Flow::In, 99).await.expect("lanes");
    assert_eq!((all.len(), all[0].epoch), (16, 1));
    let second = register(store).await;
    assert_eq!(store.lanes_share(Flow::In).await.expect("a share"), 8);
    assert!(store.lanes_take(second, Flow::In, 8).await.expect("an answer").is_empty());
    store.lanes_release(first, Flow::In, &[0, 1, 2]).await.expect("they are released");
    let taken = store.lanes_take(second, Flow::In, 2).await.expect("lanes");
    assert_eq!(taken.iter().map(|l| (l.number, l.epoch)).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    assert_eq!(store.lanes_of(first, Flow::In).await.expect("lanes").len(), 13);
    store.host_leave(first).await.expect("it leaves");
    assert!(store.lanes_of(first, Flow::In).await.expect("an answer").is_empty());
    assert!(store.lanes_take(first, Flow::In, 9).await.expect("an answer").is_empty());
    assert_eq!(store.lanes_take(second, Flow::In, 99).await.expect("lanes").len(), 14);
    assert_eq!(store.hosts_alive().await.expect("a number"), 1);
    // What the dead host still writes is refused, and what it gives back is no longer its own.
    store.lanes_release(first, Flow::In, &[5]).await.expect("an answer");
    assert_eq!(store.lanes_of(second, Flow::In).await.expect("lanes").len(), 16);
}
