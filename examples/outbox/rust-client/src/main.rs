//! Places an order: the message and the order are one commit, or neither is there. And the relay that publishes it, where
//! no host runs.

use std::{collections::BTreeMap, env};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use wasaga_client::{
    Client, ClientOptions, NewMessage, PublisherOptions, RelayOptions, Store, StoreOptions, add,
};

#[derive(Serialize)]
struct Order<'a> {
    order_id: &'a str,
    cents: i64,
}

async fn place(connection: &mut PgConnection, order: Order<'_>) -> Result<i64> {
    let Order { order_id, cents } = order;
    let message = NewMessage::to("orders.placed")
        .key(order_id)
        .json(&order)?
        .idempotency_key(format!("place {order_id}"))
        .aggregate_id(order_id)
        .event_type("order.placed");
    let mut transaction = connection.begin().await?;
    let id = add(&mut transaction, &message).await?;
    sqlx::query("insert into shop.orders (order_id, cents) values ($1, $2) on conflict do nothing")
        .bind(order_id)
        .bind(cents)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(id)
}

/// Publishes what anybody emits, until it is interrupted. Its user owns the schema `wasaga`.
async fn relay(url: String) -> Result<()> {
    let brokers = env::var("KAFKA_BROKERS").context("KAFKA_BROKERS is not set")?;
    let kafka = ClientOptions::new(BTreeMap::from([("bootstrap.servers".into(), brokers)]))?;
    let store = Store::new(StoreOptions::new(url))?;
    store.migrate_up().await?;
    let client = Client::new(store).with_kafka(kafka, PublisherOptions::default())?;
    let relay = client.start_relay(RelayOptions::default()).await?;
    tokio::signal::ctrl_c().await?;
    relay.stop().await;
    println!("the relay has stopped");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let url = env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["relay"] => relay(url).await,
        [order_id, cents] => {
            let mut connection = PgConnection::connect(&url).await?;
            let placed = place(&mut connection, Order { order_id, cents: cents.parse()? }).await;
            let message = placed.with_context(|| format!("order {order_id} is not placed"))?;
            println!("order {order_id} is placed: message {message}");
            Ok(())
        }
        _ => bail!("usage: place ORDER CENTS, or: relay"),
    }
}
