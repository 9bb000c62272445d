//! How figures are made and printed.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

/// Milliseconds; `sorted` is in ascending order.
pub fn percentile(sorted: &[Duration], part: f64) -> f64 {
    let place = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Under a steady load: medians of the rounds.
#[derive(Serialize)]
pub struct Latencies {
    /// At which they were measured.
    load_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Latencies {
    /// Of rounds of this length, each in ascending order.
    pub fn of(rounds: &[Vec<Duration>], length: Duration) -> Self {
        let loads = rounds.iter().map(|round| round.len() as f64 / length.as_secs_f64());
        let at = |part| median(rounds.iter().map(|round| percentile(round, part)).collect());
        Self { load_per_s: median(loads.collect()), p50_ms: at(0.5), p99_ms: at(0.99) }
    }
}

/// One JSON object, or a line for each figure.
pub fn print(figures: &impl Serialize, json: bool) -> Result<()> {
    let value = serde_json::to_value(figures)?;
    if json {
        println!("{value}");
        return Ok(());
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match value.as_object() {
            None => println!("{name:>26}  {value}"),
            Some(part) => {
                println!("{name}");
                for (name, value) in part {
                    println!("{name:>26}  {value}");
                }
            }
        }
    }
    Ok(())
}
