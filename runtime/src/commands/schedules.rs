//! `wasaga schedules`.

use wasaga_domain::clock::UnixMillis;
use wasaga_store::schedules::ScheduleRow;

use super::table;
use crate::{config::Config, host::startup};

/// Prints a line a schedule.
pub(crate) async fn list(config: &Config) -> anyhow::Result<()> {
    let store = startup::database(&config.database).await?;
    let at = |at: Option<UnixMillis>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let row = |row: ScheduleRow| {
        [row.definition, row.expression, at(row.next_at), at(row.last_at), row.misfire]
    };
    let titles = ["DEFINITION", "CRON", "NEXT", "LAST", "MISFIRE"];
    table::print(titles, store.schedules_list().await?.into_iter().map(row));
    Ok(())
}
