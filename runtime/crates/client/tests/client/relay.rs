//! The relay without the rest of a host.

use std::time::{Duration, Instant};

use wasaga_client::{
    Client, MemoryOutbox, Outbox as _, Published, RelayError, RelayOptions, TaskStatus,
};
use wasaga_kafka::DevBroker;
use wasaga_store::{lanes::Flow, testing::database, testing_sql::Session};

use crate::{BOUND, kafka, order, published};

const LED: &str = "select count(*) from wasaga.lanes where flow = 'out' and host_id is not null";

async fn leads(sql: &mut Session, count: i64) {
    let until = Instant::now() + BOUND;
    while sql.number(LED).await != count {
        assert!(Instant::now() < until, "in vain: {count} relays lead");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_relay_publishes_and_gives_its_lane_back() {
    let (database, broker) = (database().await, DevBroker::start().unwrap());
    let client = kafka(Client::new(database.store.clone()), broker.bootstrap());
    let mut sql = Session::open(&database.url).await;
    let first = client.start_relay(RelayOptions::default()).await.unwrap();
    let id = client.write(&order(1)).await.unwrap();
    published(&client, id).await;
    // Beside it another one waits for the lane, and takes it over at once.
    let second = client.start_relay(RelayOptions::default()).await.unwrap();
    leads(&mut sql, 1).await;
    let epoch = "select epoch from wasaga.lanes where flow = 'out'";
    assert_eq!(sql.number(epoch).await, 1);
    first.stop().await;
    let id = client.write(&order(2)).await.unwrap();
    published(&client, id).await;
    assert_eq!(sql.number(epoch).await, 2);
    second.stop().await;
    assert_eq!(sql.number(LED).await, 0);
    assert_eq!(sql.number("select count(*) from wasaga.hosts").await, 0, "no lease is left");
    let id = client.write(&order(3)).await.unwrap();
    assert_eq!(client.message(id).await.unwrap().unwrap().found.status, TaskStatus::Wait);
}

#[tokio::test]
async fn a_relay_takes_no_hosts_share_of_the_work() {
    let database = database().await;
    let store = &database.store;
    let minute = Duration::from_mins(1);
    let host = store.host_register("host", "0", minute).await.unwrap();
    assert_eq!(store.lanes_share(Flow::In).await.unwrap(), 16);
    store.relay_register("relay", "0", minute).await.unwrap();
    assert_eq!(store.lanes_share(Flow::In).await.unwrap(), 16);
    assert_eq!(store.hosts_alive().await.unwrap(), 1);
    assert_eq!(store.lanes_take(host, Flow::In, 16).await.unwrap().len(), 16);
}

#[tokio::test]
async fn a_relay_works_without_a_database() {
    let broker = DevBroker::start().unwrap();
    let outbox = MemoryOutbox::default();
    let client = kafka(Client::new(outbox.clone()), broker.bootstrap());
    let relay = client.start_relay(RelayOptions::default()).await.unwrap();
    let id = client.write(&order(1)).await.unwrap();
    published(&client, id).await;
    let first = client.publish(&order(2)).await.unwrap();
    assert!(matches!(first, Published::Published { .. }), "{first:?}");
    relay.stop().await;
    assert_eq!(outbox.task_out_backlog(9).await.unwrap().waiting, 0);
    // Who has no broker stores, and relays nothing.
    let alone = Client::new(outbox);
    assert!(matches!(alone.publish(&order(3)).await.unwrap(), Published::Stored { .. }));
    let relay = alone.start_relay(RelayOptions::default()).await;
    assert!(matches!(relay, Err(RelayError::NoBroker)));
}
