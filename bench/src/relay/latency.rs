//! From a commit to the consumer, while messages are emitted at a steady rate.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::{task::JoinSet, time};
use wasaga_kafka::{
    ClientOptions, RelayOptions,
    testing::{Place, Reader},
};
use wasaga_store::testing_sql::Session;

use super::outbox::Outbox;
use crate::steady::{self, EMITTERS};

/// Messages a transaction: the applications' own commits shall not be what takes the cores.
const TOGETHER: u64 = 20;
const EMIT: &str = "
    select wasaga.emit($1, 'key-' || n, jsonb_build_object('n', n, 'filler', $4::text))
    from generate_series($2::text::bigint, $3::text::bigint) n";
/// What comes first finds neither connections nor caches.
const WARM_UP: Duration = Duration::from_secs(5);
const LAST: Duration = Duration::from_secs(10);

/// Emits by `wasaga.emit`, with nobody to tell the relay of it; answers with the times from each answer to a commit to the
/// arrival of its records, sorted.
pub async fn under(
    outbox: &Outbox,
    client: &ClientOptions,
    rate: f64,
    seconds: Duration,
    bytes: usize,
) -> Result<Vec<Duration>> {
    steady::settle(&outbox.database).await?;
    let reader = Reader::new(client, &outbox.topic, Place::End)?;
    let stop = Arc::new(AtomicBool::new(false));
    let consumer = thread::spawn({
        let stop = stop.clone();
        move || {
            let mut came: HashMap<u64, Instant> = HashMap::new();
            while !stop.load(Ordering::Relaxed) {
                if let Some((value, at)) = reader.next()? {
                    came.entry(number(&value)?).or_insert(at);
                }
            }
            anyhow::Ok(came)
        }
    });
    let (relay, lease, _) = outbox.relay(RelayOptions::default()).await?;
    let begun = Instant::now();
    let mut emitters = JoinSet::new();
    for place in 0..EMITTERS {
        let session = Session::open(&outbox.database.url).await;
        let until = begun + WARM_UP + seconds;
        emitters.spawn(emit(session, outbox.topic.clone(), place, rate, until, bytes));
    }
    let mut committed = Vec::new();
    while let Some(part) = emitters.join_next().await {
        committed.extend(part?);
    }
    let done = Instant::now();
    while outbox.database.store.task_out_backlog(1).await?.waiting > 0 && done.elapsed() < LAST {
        time::sleep(Duration::from_millis(50)).await;
    }
    relay.stop().await;
    lease.stop().await;
    time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let came = consumer.join().map_err(|_| anyhow!("the consumer panicked"))??;
    ensure!(came.len() == committed.len(), "{} of {} came", came.len(), committed.len());
    let counted = committed.into_iter().filter(|(_, at)| *at >= begun + WARM_UP);
    let mut latencies = counted
        .map(|(number, at)| {
            let came = came.get(&number).context("each record comes")?;
            Ok(came.saturating_duration_since(at))
        })
        .collect::<Result<Vec<_>>>()?;
    latencies.sort_unstable();
    Ok(latencies)
}

/// One of the emitters, at its part of the rate; what it committed, and when the commit was answered.
async fn emit(
    mut session: Session,
    topic: String,
    place: usize,
    rate: f64,
    until: Instant,
    bytes: usize,
) -> Vec<(u64, Instant)> {
    let mut ticks = steady::ticks(place, TOGETHER, rate);
    let filler = "x".repeat(bytes.saturating_sub(28));
    let mut committed = Vec::new();
    let mut first = place as u64 * TOGETHER;
    while Instant::now() < until {
        ticks.tick().await;
        let last = first + TOGETHER - 1;
        session.run_with(EMIT, &[&topic, &first.to_string(), &last.to_string(), &filler]).await;
        let answered = Instant::now();
        committed.extend((first..=last).map(|number| (number, answered)));
        first += EMITTERS as u64 * TOGETHER;
    }
    committed
}

fn number(value: &[u8]) -> Result<u64> {
    let value: serde_json::Value = serde_json::from_slice(value)?;
    value["n"].as_u64().context("the record is a number's")
}
