//! A load at a steady rate, spread over those who make it.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};
use tokio::{
    task::spawn_blocking,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use wasaga_store::{testing::TestDatabase, testing_sql::Session};

/// Who make it.
pub const EMITTERS: usize = 4;

/// When one of the emitters sends its next messages, so many together, of a rate that is all emitters'.
pub fn ticks(place: usize, together: u64, rate: f64) -> Interval {
    let apart = Duration::from_secs_f64(EMITTERS as f64 * together as f64 / rate);
    // One after the other: all at once would be bursts.
    let turn = apart.mul_f64(place as f64 / EMITTERS as f64);
    let mut ticks = interval_at(Instant::now() + turn, apart);
    // Where the disk holds commits up, what follows is no burst: that would be another load.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits until all that was written before is on the disk: what the peak leaves behind is not the load's.
pub async fn settle(database: &TestDatabase) -> Result<()> {
    Session::open(&database.url).await.run("checkpoint").await;
    let synced = spawn_blocking(|| Command::new("sync").status()).await??;
    ensure!(synced.success(), "`sync` failed: {synced}");
    Ok(())
}
