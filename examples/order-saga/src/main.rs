//! The order saga from a customer's side: posts ten orders, some of which must fail, prints what becomes of each as
//! it happens, and balances the books. Exits with 1 when an order did not end as it must, or the books don't balance.

mod books;
mod orders;
mod timeline;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::task::JoinSet;

use orders::Order;
use timeline::Timeline;

#[derive(Parser)]
#[command(about = "Posts ten orders to a wasaga host, follows them, and balances the books")]
struct Arguments {
    /// The host
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The host's database, for the books
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database: String,
    /// Seconds until every order must have ended
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

/// An order that was accepted, and how it ended.
struct Ended {
    order: Order,
    saga: String,
    status: String,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let client = Client::new();
    let mut following = JoinSet::new();
    for (place, order) in orders::ten().into_iter().enumerate() {
        let saga = post(&client, &arguments.url, &order).await?;
        let timeline = Timeline::new(client.clone(), &arguments.url, &saga, order.name);
        let patience = Duration::from_secs(arguments.patience);
        following.spawn(async move {
            let status = timeline.follow(patience).await?;
            anyhow::Ok((place, Ended { order, saga, status }))
        });
    }
    let mut ended = Vec::new();
    while let Some(followed) = following.join_next().await {
        ended.push(followed??);
    }
    ended.sort_by_key(|(place, _)| *place);

    println!("\n{:<22}{:<16}{:<16}saga", "order", "must end", "ended");
    let mut wrong = 0;
    for (_, Ended { order, saga, status }) in &ended {
        let mark = if status == order.must_end { "" } else { "  <- wrong" };
        wrong += usize::from(!mark.is_empty());
        println!("{:<22}{:<16}{:<16}{saga}{mark}", order.name, order.must_end, status);
    }
    let balanced = books::balance(&arguments.database).await?;
    Ok(if wrong == 0 && balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Posts an order and returns its saga's id.
async fn post(client: &Client, url: &str, order: &Order) -> Result<String> {
    let response = client
        .post(format!("{url}/api/v1/orders"))
        .json(&order.body)
        .send()
        .await
        .with_context(|| format!("no host answers at {url}"))?;
    let status = response.status();
    let body: Value = response.json().await?;
    ensure!(status == StatusCode::ACCEPTED, "POST /api/v1/orders: {status}: {body}");
    let saga = body["saga_id"].as_str().context("the answer has a saga_id")?;
    println!("{:<22}accepted       {body}", order.name);
    Ok(saga.to_owned())
}
