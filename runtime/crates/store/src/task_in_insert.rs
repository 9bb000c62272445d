//! `wasaga.task_in`, first half of a life: consumed records become tasks in the one statement that moves their
//! partitions' next offsets, so that either both happen or neither.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::types::Json;

use crate::{Store, StoreError};

/// A consumed record.
#[derive(Clone, Debug)]
pub struct NewTaskIn {
    /// Its lane: records of one (topic, partition, key) share one.
    pub lane: i16,
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// As [`headers`](crate::headers) writes them.
    pub headers: Value,
    /// Its value; absent for a tombstone.
    pub value: Option<Vec<u8>>,
    /// What its sender knows it by; of one topic the second record with it is no task.
    pub message_id: Option<String>,
    /// Its timestamp, Unix milliseconds.
    pub produced_at: Option<i64>,
    /// Why it can't be a task: it goes to the dead letters at once.
    pub refused: Option<Value>,
}

/// A partition whose next offset is to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// What the next offset has to be for the move; absent: none was ever stored.
    pub expected: Option<i64>,
    /// What it becomes.
    pub next: i64,
}

/// What an insert came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Move by move, whether it was made: if not, the partition is another consumer's by now and nothing of it was stored.
    pub made: Vec<bool>,
    /// Records that were passed over, as their messages are tasks already.
    pub duplicates: u64,
}

impl Store {
    /// Moves next offsets, each by compare-and-set, and adds the records of the partitions that were moved, in the
    /// order given, but for those whose message is a task already.
    pub async fn task_in_insert(
        &self,
        cluster: &str,
        moves: &[Move],
        records: &[NewTaskIn],
    ) -> Result<Inserted, StoreError> {
        fn column<'a, R, C>(rows: &'a [R], of: impl Fn(&'a R) -> C) -> Vec<C> {
            rows.iter().map(of).collect()
        }
        let (made, duplicates): (Vec<bool>, i64) = sqlx::query_as(
            "with p as materialized (
                 select * from unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
                     with ordinality as p (topic, partition, expected, next, n)
             ), moved as (
                 update wasaga.next_offsets o set next = p.next, updated_at = now()
                 from p where o.cluster = $1 and o.topic = p.topic and o.partition = p.partition
                   and o.next = p.expected
                 returning o.topic, o.partition
             ), first as (
                 insert into wasaga.next_offsets (cluster, topic, partition, next)
                 select $1, p.topic, p.partition, p.next from p where p.expected is null
                 on conflict do nothing
                 returning topic, partition
             ), made as materialized (
                 select * from moved union all select * from first
             ), r as materialized (
                 select r.* from unnest($6::smallint[], $7::text[], $8::int[], $9::bigint[], $10::bytea[],
                     $11::jsonb[], $12::bytea[], $13::bigint[], $14::jsonb[], $15::text[]) with ordinality as r (lane,
                     topic, partition, \"offset\", key, headers, value, produced_at, refused, message_id, n)
                 join made using (topic, partition)
             ), stored as (
                 insert into wasaga.task_in (lane, status, cluster, topic, partition, \"offset\", key, headers, value,
                     produced_at, error, message_id)
                 select lane, case when refused is null then 'wait' else 'error' end, $1, topic, partition, \"offset\",
                     key, headers, case when refused is null then value end, wasaga.at(produced_at),
                     refused, message_id
                 from r order by n
                 on conflict (topic, message_id) where message_id is not null do nothing
                 returning id, status, topic, partition, \"offset\"
             ), dead as (
                 insert into wasaga.dead_letter_in (task_id, lane, reason, attempts, cluster, topic, partition,
                     \"offset\", key, headers, value, produced_at)
                 select s.id, r.lane, r.refused, 0, $1, r.topic, r.partition, r.\"offset\", r.key, r.headers, r.value,
                     wasaga.at(r.produced_at)
                 from r join stored s using (topic, partition, \"offset\") where r.refused is not null
             )
             select coalesce(array_agg(exists (select from made m where m.topic = p.topic
                     and m.partition = p.partition) order by p.n), '{}'),
                 (select count(*) from r) - (select count(*) from stored)
             from p",
        )
        .bind(cluster)
        .bind(column(moves, |m| m.topic.as_str()))
        .bind(column(moves, |m| m.partition))
        .bind(column(moves, |m| m.expected))
        .bind(column(moves, |m| m.next))
        .bind(column(records, |r| r.lane))
        .bind(column(records, |r| r.topic.as_str()))
        .bind(column(records, |r| r.partition))
        .bind(column(records, |r| r.offset))
        .bind(column(records, |r| r.key.as_deref()))
        .bind(column(records, |r| Json(&r.headers)))
        .bind(column(records, |r| r.value.as_deref()))
        .bind(column(records, |r| r.produced_at))
        .bind(column(records, |r| r.refused.as_ref().map(Json)))
        .bind(column(records, |r| r.message_id.as_deref()))
        .fetch_one(&self.pool)
        .await?;
        Ok(Inserted { made, duplicates: duplicates.cast_unsigned() })
    }

    /// How many in tasks of each topic wait; counted up to `limit` in all.
    pub async fn task_in_waiting(&self, limit: i64) -> Result<HashMap<String, i64>, StoreError> {
        let waiting: Vec<(String, i64)> = sqlx::query_as(
            "select topic, count(*) from (
                 select topic from wasaga.task_in where status in ('wait', 'work') limit $1) as counted
             group by topic",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(waiting.into_iter().collect())
    }
}
