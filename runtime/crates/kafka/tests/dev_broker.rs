//! The broker for development: what goes in comes out, in topics nobody made.

mod support;

use support::{World, client, produce, read, topic};
use wasaga_kafka::{DevBroker, RelayOptions};

#[tokio::test(flavor = "multi_thread")]
async fn topics_make_themselves_and_keep_the_order_of_keys() {
    let mut world = World::new().await;
    let broker = DevBroker::start().expect("a broker");
    let topic = topic("dev");
    produce(broker.bootstrap(), &topic, &[(Some(3), "k", b"0")]);
    for n in 1..=9 {
        world.emit(&topic, "'k'", &format!("'{n}'"), "null").await;
    }
    let relay = world.relay(&client(broker.bootstrap(), &[]), RelayOptions::default());
    wait_until!(
        "everything is published",
        world.count("task_out where status = 'wait'").await == 0
    );
    relay.stop().await;
    let seen = read(broker.bootstrap(), &topic, 10);
    let relayed: Vec<_> = seen.iter().filter(|record| !record.headers.is_empty()).collect();
    assert!(relayed.iter().map(|record| &record.value).is_sorted());
}
