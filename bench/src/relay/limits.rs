//! What the relay is held against: each of its two halves alone.

use std::{collections::HashSet, time::Instant};

use anyhow::{Context, Result, ensure};
use tokio::{task::JoinSet, task::spawn_blocking};
use uuid::Uuid;
use wasaga_kafka::{ClientOptions, RelayOptions, testing};
use wasaga_store::{
    lanes::Flow,
    lease::HostLease,
    task_out::{Excluded, Leased},
};

use super::outbox::{Outbox, PARTITIONS};
use crate::records;

/// As the relay has it.
const MARKS: usize = 2;

/// Records a second of librdkafka's producer.
pub async fn kafka(
    client: &ClientOptions,
    messages: usize,
    keys: usize,
    bytes: usize,
) -> Result<f64> {
    let topic = format!("bench-{}", Uuid::new_v4().simple());
    testing::make_topic(client, &topic, PARTITIONS).await?;
    let records = records::records(messages, keys, bytes);
    let client = client.clone();
    let took = spawn_blocking(move || {
        testing::produce(&client, &topic, &records[..1])?;
        let begun = Instant::now();
        testing::produce(&client, &topic, &records)?;
        anyhow::Ok(begun.elapsed())
    });
    Ok(messages as f64 / took.await??.as_secs_f64())
}

/// Messages a second that are read and marked, as the relay does, by nothing else.
pub async fn sql(
    server: &str,
    client: &ClientOptions,
    messages: usize,
    keys: usize,
    bytes: usize,
) -> Result<f64> {
    let mut outbox = Outbox::new(server, client).await?;
    outbox.fill(messages, keys, bytes).await;
    let (store, options) = (outbox.database.store.clone(), RelayOptions::default());
    let lease = HostLease::start(store.clone(), "bench".into(), "bench", options.lease).await?;
    let host = lease.host().borrow().context("the host has its lease")?;
    let lanes = store.lanes_take(host, Flow::Out, 1).await?;
    let lane = *lanes.first().context("the lane is free")?;
    let begun = Instant::now();
    let (mut hand, mut marks, mut marked) = (HashSet::new(), JoinSet::new(), 0);
    loop {
        let excluded = Excluded { ids: hand.iter().copied().collect(), ..Excluded::default() };
        let (limit, most) = (options.batch as i64, options.max_bytes as i64 / 2);
        let Leased::Held(rows) = store.task_out_waiting(host, lane, &excluded, limit, most).await?
        else {
            anyhow::bail!("the lane was lost");
        };
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        if ids.is_empty() && marks.is_empty() {
            break;
        }
        if !ids.is_empty() {
            hand.extend(ids.iter().copied());
            let store = store.clone();
            marks.spawn(
                async move { store.task_out_published(host, lane, &ids).await.map(|_| ids) },
            );
        }
        while marks.len() >= MARKS || (rows.is_empty() && !marks.is_empty()) {
            let ids = marks.join_next().await.context("one is under way")???;
            marked += ids.len();
            for id in &ids {
                hand.remove(id);
            }
        }
    }
    let took = begun.elapsed();
    ensure!(marked == messages, "{marked} of {messages} messages were marked");
    lease.stop().await;
    Ok(messages as f64 / took.as_secs_f64())
}
