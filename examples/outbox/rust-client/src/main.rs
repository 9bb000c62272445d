//! Places an order: the messages and the order are one commit, or nothing is there. And the relay that publishes them, where
//! no host runs.

use std::{collections::BTreeMap, env};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use wasaga_client::{
    Client, ClientOptions, NewMessage, PublisherOptions, RelayOptions, Store, StoreOptions, add,
    add_many,
};

#[derive(Serialize)]
struct Order<'a> {
    order_id: &'a str,
    cents: i64,
}

#[derive(Serialize)]
struct Line<'a> {
    line: usize,
    product: &'a str,
}

async fn place(
    connection: &mut PgConnection,
    order: Order<'_>,
    products: &[&str],
) -> Result<Vec<i64>> {
    let Order { order_id, cents } = order;
    let message = NewMessage::to("orders.placed")
        .key(order_id)
        .json(&order)?
        .idempotency_key(format!("place {order_id}"))
        .aggregate_id(order_id)
        .event_type("order.placed");
    let line = |(product, line): (&str, usize)| -> Result<NewMessage> {
        Ok(NewMessage::to("orders.lines")
            .key(order_id)
            .json(&Line { line, product })?
            .header("product", product.to_owned())
            .idempotency_key(format!("place {order_id} line {line}")))
    };
    let lines = products.iter().copied().zip(1..).map(line).collect::<Result<Vec<_>>>()?;
    let mut transaction = connection.begin().await?;
    let id = add(&mut transaction, &message).await?;
    let line_ids = add_many(&mut transaction, &lines).await?;
    sqlx::query(
        "insert into shop.orders (order_id, cents, products) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(order_id)
    .bind(cents)
    .bind(products)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok([vec![id], line_ids].concat())
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
        [order_id, cents, products @ ..] => {
            let mut connection = PgConnection::connect(&url).await?;
            let order = Order { order_id, cents: cents.parse()? };
            let placed = place(&mut connection, order, products).await;
            let messages = placed.with_context(|| format!("order {order_id} is not placed"))?;
            println!("order {order_id} is placed: messages {messages:?}");
            Ok(())
        }
        _ => bail!("usage: place ORDER CENTS PRODUCT..., or: relay"),
    }
}
