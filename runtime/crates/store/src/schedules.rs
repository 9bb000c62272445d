//! `wasaga.schedules`: when definitions start by themselves. Rows come and go with activations; hosts only move them
//! on, and only from where they read them.

use sqlx::PgConnection;
use wasaga_domain::{
    clock::UnixMillis,
    ids::PluginName,
    manifest::{Saga, ScheduleTrigger, Trigger},
};

use crate::{Store, StoreError};

/// A schedule with occurrences to deal with, or whose first one is still to be worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// From when on its expression holds.
    pub since: UnixMillis,
    /// The first occurrence that has not been dealt with.
    pub next_at: Option<UnixMillis>,
    /// The database's time.
    pub now: UnixMillis,
}

/// A schedule, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// The plugin that defines it.
    pub plugin: String,
    /// A cron expression, UTC.
    pub expression: String,
    /// `skip`, `once` or `all`.
    pub misfire: String,
    /// The first occurrence that has not been dealt with.
    pub next_at: Option<UnixMillis>,
    /// The last one that was.
    pub last_at: Option<UnixMillis>,
}

impl Store {
    /// Those of these definitions whose next occurrence has come.
    pub async fn schedules_due(
        &self,
        definitions: &[(&str, u32)],
    ) -> Result<Vec<DueSchedule>, StoreError> {
        let names: Vec<&str> = definitions.iter().map(|(name, _)| *name).collect();
        let versions: Vec<i32> =
            definitions.iter().map(|(_, version)| version.cast_signed()).collect();
        let due: Vec<(String, i32, i64, Option<i64>, i64)> = sqlx::query_as(
            "select s.definition, s.version, wasaga.millis(s.since), wasaga.millis(s.next_at), wasaga.millis(now())
             from wasaga.schedules s
             join unnest($1::text[], $2::int[]) as d (name, version)
               on d.name = s.definition and d.version = s.version
             where s.next_at is null or s.next_at <= now()
             order by s.next_at nulls first",
        )
        .bind(names)
        .bind(versions)
        .fetch_all(&self.pool)
        .await?;
        let row =
            |(definition, version, since, next_at, now): (_, i32, _, Option<_>, _)| DueSchedule {
                definition,
                version: version.cast_unsigned(),
                since: UnixMillis(since),
                next_at: next_at.map(UnixMillis),
                now: UnixMillis(now),
            };
        Ok(due.into_iter().map(row).collect())
    }

    /// Moves a schedule on to `next`; false where another host did, or its plugin was activated anew.
    pub async fn schedule_advance(
        &self,
        schedule: &DueSchedule,
        next: UnixMillis,
        last: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        let advanced = sqlx::query(
            "update wasaga.schedules set next_at = wasaga.at($4), last_at = coalesce(wasaga.at($5), last_at)
             where definition = $1 and version = $2 and next_at is not distinct from wasaga.at($3)",
        )
        .bind(&schedule.definition)
        .bind(schedule.version.cast_signed())
        .bind(schedule.next_at.map(|at| at.0))
        .bind(next.0)
        .bind(last.map(|at| at.0))
        .execute(&self.pool)
        .await?;
        Ok(advanced.rows_affected() == 1)
    }

    /// All of them, by name.
    pub async fn schedules_list(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        type Row = (String, i32, String, String, String, Option<i64>, Option<i64>);
        let rows: Vec<Row> = sqlx::query_as(
            "select definition, version, plugin, expression, misfire, wasaga.millis(next_at), wasaga.millis(last_at)
             from wasaga.schedules order by definition",
        )
        .fetch_all(&self.pool)
        .await?;
        let row = |(definition, version, plugin, expression, misfire, next_at, last_at): Row| {
            ScheduleRow {
                definition,
                version: version.cast_unsigned(),
                plugin,
                expression,
                misfire,
                next_at: next_at.map(UnixMillis),
                last_at: last_at.map(UnixMillis),
            }
        };
        Ok(rows.into_iter().map(row).collect())
    }
}

/// The schedules of a plugin that becomes active: those it has no more go, and one whose expression is another starts
/// anew from now.
pub(crate) async fn schedules_set(
    connection: &mut PgConnection,
    plugin: &PluginName,
    sagas: &[Saga],
) -> Result<(), StoreError> {
    let scheduled: Vec<(&Saga, &ScheduleTrigger)> =
        sagas.iter().filter_map(|saga| Some((saga, schedule(saga)?))).collect();
    let names: Vec<&str> = scheduled.iter().map(|(saga, _)| saga.name.as_str()).collect();
    sqlx::query("delete from wasaga.schedules where plugin = $1 and definition <> all ($2)")
        .bind(plugin.as_str())
        .bind(&names)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "insert into wasaga.schedules as s (definition, version, plugin, expression, misfire)
         select definition, version, $1, expression, misfire
         from unnest($2::text[], $3::int[], $4::text[], $5::text[])
             as n (definition, version, expression, misfire)
         on conflict (definition) do update set
             version = excluded.version, plugin = excluded.plugin, misfire = excluded.misfire,
             expression = excluded.expression,
             since = case when s.expression = excluded.expression then s.since else excluded.since end,
             next_at = case when s.expression = excluded.expression then s.next_at end",
    )
    .bind(plugin.as_str())
    .bind(&names)
    .bind(scheduled.iter().map(|(saga, _)| saga.version.cast_signed()).collect::<Vec<_>>())
    .bind(scheduled.iter().map(|(_, schedule)| schedule.cron.as_str()).collect::<Vec<_>>())
    .bind(scheduled.iter().map(|(_, schedule)| schedule.misfire.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

fn schedule(saga: &Saga) -> Option<&ScheduleTrigger> {
    saga.triggers.iter().find_map(|trigger| match trigger {
        Trigger::Schedule(schedule) => Some(schedule),
        Trigger::Topic { .. } | Trigger::Http(_) => None,
    })
}
