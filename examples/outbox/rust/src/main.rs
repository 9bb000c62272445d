//! Places an order: the messages and the order are one commit, or nothing is there.

use std::env;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

async fn place(
    connection: &mut PgConnection,
    order: &str,
    cents: i64,
    products: &[String],
) -> sqlx::Result<Vec<i64>> {
    let line = |(product, line): (&String, i32)| {
        json!({
            "topic": "orders.lines",
            "key": order,
            "payload": {"line": line, "product": product},
            "headers": [["product", product]],
            "idempotency_key": format!("place {order} line {line}"),
        })
    };
    let lines: Value = products.iter().zip(1..).map(line).collect();
    let mut transaction = connection.begin().await?;
    let message: i64 = sqlx::query_scalar(
        "select wasaga.emit('orders.placed', $1, $2, idempotency_key => $3, aggregate_id => $1,
             event_type => 'order.placed')",
    )
    .bind(order)
    .bind(json!({"order_id": order, "cents": cents}))
    .bind(format!("place {order}"))
    .fetch_one(&mut *transaction)
    .await?;
    let line_messages: Vec<i64> = sqlx::query_scalar("select wasaga.emit_many($1)")
        .bind(lines)
        .fetch_one(&mut *transaction)
        .await?;
    sqlx::query(
        "insert into shop.orders (order_id, cents, products) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(order)
    .bind(cents)
    .bind(products)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok([vec![message], line_messages].concat())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [order, cents, products @ ..] = &arguments[..] else {
        bail!("usage: place ORDER CENTS PRODUCT...")
    };
    let url = env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let mut connection = PgConnection::connect(&url).await?;
    let placed = place(&mut connection, order, cents.parse()?, products).await;
    let messages = placed.with_context(|| format!("order {order} is not placed"))?;
    println!("order {order} is placed: messages {messages:?}");
    Ok(())
}
