//! The client as an application uses it, on real Postgres and the embedded broker.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod pooler;
mod port;
mod relay;
mod transaction;
mod write;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use wasaga_client::{Client, ClientOptions, NewMessage, PublisherOptions, TaskStatus};

const BOUND: Duration = Duration::from_secs(30);

fn order(n: u32) -> NewMessage {
    let order = serde_json::json!({ "order_id": format!("o-{n}"), "cents": 100 * n });
    NewMessage::to("orders").key(format!("o-{n}")).json(&order).unwrap()
}

fn kafka(client: Client, bootstrap: &str) -> Client {
    let options = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap.to_owned())]);
    let options = ClientOptions::new(options).unwrap();
    // Longer than a machine with much to do takes.
    let within = Duration::from_secs(10);
    client.with_kafka(options, PublisherOptions { within, ..PublisherOptions::default() }).unwrap()
}

/// Waits until a message is published.
async fn published(client: &Client, id: i64) {
    let until = Instant::now() + BOUND;
    while client.message(id).await.unwrap().unwrap().found.status != TaskStatus::Ready {
        assert!(Instant::now() < until, "message {id} is not published");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
