//! Places an order: the message and the order are one commit, or neither is there.

use std::env;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

async fn place(connection: &mut PgConnection, order: &str, cents: i64) -> sqlx::Result<i64> {
    let mut transaction = connection.begin().await?;
    let message = sqlx::query_scalar(
        "select wasaga.emit('orders.placed', $1, $2, idempotency_key => $3, aggregate_id => $1,
             event_type => 'order.placed')",
    )
    .bind(order)
    .bind(json!({"order_id": order, "cents": cents}))
    .bind(format!("place {order}"))
    .fetch_one(&mut *transaction)
    .await?;
    sqlx::query("insert into shop.orders (order_id, cents) values ($1, $2) on conflict do nothing")
        .bind(order)
        .bind(cents)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(message)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [order, cents] = &arguments[..] else { bail!("usage: place ORDER CENTS") };
    let url = env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let mut connection = PgConnection::connect(&url).await?;
    let placed = place(&mut connection, order, cents.parse()?).await;
    let message = placed.with_context(|| format!("order {order} is not placed"))?;
    println!("order {order} is placed: message {message}");
    Ok(())
}
