//! Schedules: sagas that start by the clock.
//!
//! Every host looks, by the database's time. The starts of an occurrence are committed first, under a business key
//! that names it, and the schedule moves on after that: a host that dies in between leaves starts that the next one
//! finds done, and of two hosts that start the same, one does.

mod due;

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use metrics::{counter, gauge};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use wasaga_domain::{
    catalog::{Active, Catalog},
    clock::UnixMillis,
    ports::CatalogSource,
    schedule::Schedule,
};
use wasaga_store::{Store, StoreError, schedules::DueSchedule};

use crate::driver::{Engine, StartError, StartRequest};

pub use due::{Bounds, Due, due};

/// How schedules are kept.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleOptions {
    /// How often to look.
    pub poll: Duration,
    /// What one look does.
    pub bounds: Bounds,
}

impl Default for ScheduleOptions {
    fn default() -> Self {
        let bounds = Bounds { tolerance: Duration::from_mins(1), batch: 100 };
        Self { poll: Duration::from_secs(1), bounds }
    }
}

/// Starts what is due.
pub struct Schedules {
    store: Store,
    catalog: Arc<dyn CatalogSource>,
    engine: Engine,
    options: ScheduleOptions,
}

/// Schedules that are kept, to be stopped once.
pub struct SchedulesHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What became of an occurrence.
#[derive(PartialEq)]
enum Fate {
    /// Its saga was started here and now.
    Started,
    /// Its saga was started before.
    Known,
    /// It will never have one.
    Refused(String),
    /// It has to be tried again.
    Unavailable,
}

impl Schedules {
    /// Starts to look; it goes on until it is stopped.
    pub fn start(
        store: Store,
        catalog: Arc<dyn CatalogSource>,
        engine: Engine,
        options: ScheduleOptions,
    ) -> SchedulesHandle {
        let stop = CancellationToken::new();
        let schedules = Self { store, catalog, engine, options };
        let task = tokio::spawn({
            let stop = stop.clone();
            // What is cut off is found done, or done again, at the next look of any host.
            async move {
                stop.run_until_cancelled(schedules.run()).await;
            }
        });
        SchedulesHandle { stop, task }
    }

    async fn run(self) {
        let mut ticks = interval(self.options.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look().await {
                debug!(%error, "schedules are put off");
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let catalog = self.catalog.catalog();
        let known: Vec<(&str, u32)> = scheduled(&catalog)
            .map(|(active, _)| (&*active.definition.name, active.definition.version))
            .collect();
        if known.is_empty() {
            return Ok(());
        }
        let rows = self.store.schedules_due(&known).await?;
        for (active, schedule) in scheduled(&catalog) {
            let name = &*active.definition.name;
            let row = rows.iter().find(|row| row.definition == name);
            let lag = row.and_then(|row| Some(row.now.since(row.next_at?))).unwrap_or_default();
            gauge!("wasaga_schedule_lag_seconds", "definition" => name.to_owned())
                .set(lag.as_secs_f64());
            if let Some(row) = row {
                self.fire(active, schedule, row).await?;
            }
        }
        Ok(())
    }

    /// Starts what is due of a schedule, then moves it on.
    async fn fire(
        &self,
        active: &Active,
        schedule: &Schedule,
        row: &DueSchedule,
    ) -> Result<(), StoreError> {
        let Some(from) = row.next_at else {
            self.store.schedule_advance(row, schedule.next(row.since), None).await?;
            return Ok(());
        };
        let Due { starts, missed, next } = due(schedule, from, row.now, self.options.bounds);
        let fates = starts.iter().map(|at| self.start_one(active, schedule, *at));
        let fates = join_all(fates).await;
        let count = |result, many: usize| {
            let definition = row.definition.clone();
            counter!("wasaga_schedule_occurrences_total", "definition" => definition, "result" => result)
                .increment(many as u64);
        };
        count("started", fates.iter().filter(|fate| **fate == Fate::Started).count());
        let dealt = fates.iter().take_while(|fate| **fate != Fate::Unavailable).count();
        let next = starts.get(dealt).copied().unwrap_or(next);
        let last = starts[..dealt].last().copied();
        if next == from || !self.store.schedule_advance(row, next, last).await? {
            return Ok(());
        }
        if missed > 0 {
            warn!(
                definition = row.definition,
                missed,
                first = %from,
                "occurrences passed while no host ran, and are not made up for"
            );
            count("missed", missed);
        }
        for (at, fate) in starts.iter().zip(&fates[..dealt]) {
            if let Fate::Refused(why) = fate {
                warn!(definition = row.definition, occurrence = %at, why, "a scheduled start is refused");
                count("refused", 1);
            }
        }
        Ok(())
    }

    async fn start_one(&self, active: &Active, schedule: &Schedule, at: UnixMillis) -> Fate {
        let input = schedule.input(at);
        if let Some(why) = active.definition.refusal(&input) {
            return Fate::Refused(why);
        }
        let request = StartRequest {
            definition: Arc::clone(&active.definition),
            business_key: Some(format!("{}@{at}", active.definition.name)),
            input,
            traceparent: None,
        };
        match self.engine.start(request).await {
            Ok(started) if started.created => Fate::Started,
            // With other input it was an older version's.
            Ok(_) | Err(StartError::Conflict(..)) => Fate::Known,
            Err(StartError::Refused(why)) => Fate::Refused(why),
            Err(StartError::Unavailable(_)) => Fate::Unavailable,
        }
    }
}

fn scheduled(catalog: &Catalog) -> impl Iterator<Item = (&Active, &Schedule)> {
    catalog.definitions.values().filter_map(|active| Some((active, active.schedule.as_deref()?)))
}

impl SchedulesHandle {
    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Starts nothing more.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the schedules ended before they were stopped");
        }
    }
}
