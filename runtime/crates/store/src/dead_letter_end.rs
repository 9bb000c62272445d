//! How an operator ends dead letters: a new task is made of them, or nothing. What has ended never changes again, and is
//! deleted when it is old.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use wasaga_domain::{
    dead_letter::{LetterFlow, LetterVerb},
    mail::Audit,
};

use crate::{Store, StoreError, dead_letter_read::table, retention::millis};

/// A letter that was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedLetter {
    /// The letter.
    pub id: i64,
    /// The new task of a redrive.
    pub task_id: Option<i64>,
}

/// The letter's record once more, in its lane and behind all that wait there under its key, with the idempotency key it had.
const TASK_IN: &str =
    "insert into wasaga.task_in (id, lane, cluster, topic, partition, \"offset\", key, headers, value, produced_at)
     overriding system value
     select new_id, lane, cluster, topic, partition, \"offset\", key, headers, value, produced_at
     from letter where new_id is not null";

/// The letter's message once more, as another one under the same idempotency key; a `CloudEvent`'s id is the message's.
const TASK_OUT: &str =
    "insert into wasaga.task_out (id, message_id, saga_id, idempotency_key, traceparent, aggregate_id, event_type,
         max_attempts, topic, key, value, rollback, handled, headers)
     overriding system value
     select new_id, new_message_id, saga_id, idempotency_key, traceparent, aggregate_id, event_type, max_attempts,
         topic, key, value, rollback, handled,
         (select coalesce(jsonb_agg(case when header = jsonb_build_array('ce_id', message_id)
                  then jsonb_build_array('ce_id', new_message_id) else header end order by n), '[]')
          from jsonb_array_elements(headers) with ordinality as h (header, n))
     from (select *, gen_random_uuid() as new_message_id from letter where new_id is not null) as again";

/// Of a record that could not be kept there is nothing to be handled again, unless somebody has said what its value was.
pub(crate) const KEPT: &str = "(not reason ? 'at' or value is not null or original ? 'value_given'
      or case when original is null then key is not null else original ->> 'key' is not null end)";

impl Store {
    /// Ends those of these letters that are open; a redrive passes over records that could not be kept. All of it is one
    /// transaction, and stands in the audit. Answers with those that were ended, in the order of their ids.
    pub async fn dead_letters_end(
        &self,
        flow: LetterFlow,
        ids: &[i64],
        verb: LetterVerb,
        by: &Audit,
    ) -> Result<Vec<EndedLetter>, StoreError> {
        let (sequence, insert, kept) = match flow {
            LetterFlow::In => ("wasaga.task_in_id_seq", TASK_IN, KEPT),
            LetterFlow::Out => ("wasaga.task_out_id_seq", TASK_OUT, "true"),
        };
        let table = table(flow);
        let sql = format!(
            "with open as materialized (
                 select * from {table} where id = any ($2) and finished_at is null and ($3 <> 'redrive' or {kept})
                 order by id for update
             ), letter as materialized (
                 select *, case when $3 = 'redrive' then nextval('{sequence}') end as new_id from open
             ), ended as (
                 update {table} l set status = 'ready', ending = $4, finished_at = now()
                 from letter where l.id = letter.id
             ), task as (
                 {insert}
             ), audit as (
                 insert into wasaga.dead_letter_verbs (flow, letter_id, verb, by, reason, task_id)
                 select $1, id, $3, $5, $6, new_id from letter
             )
             select id, new_id from letter order by id"
        );
        let rows: Vec<(i64, Option<i64>)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(flow.as_str())
            .bind(ids)
            .bind(verb.name())
            .bind(verb.ending())
            .bind(by.by.as_deref())
            .bind(&by.reason)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(|(id, task_id)| EndedLetter { id, task_id }).collect())
    }

    /// Deletes at most `limit` letters of this flow that ended longer than `retention` ago, and counts them.
    pub async fn dead_letters_clean(
        &self,
        flow: LetterFlow,
        retention: Duration,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let table = table(flow);
        let sql = format!(
            "with gone as (
                 delete from {table} where id in (
                     select id from {table} where finished_at < now() - $2 * interval '1 millisecond'
                     order by finished_at limit $3 for update skip locked)
                 returning id
             ), audit as (
                 delete from wasaga.dead_letter_verbs where flow = $1 and letter_id in (select id from gone)
             )
             select count(*) from gone"
        );
        let deleted: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(flow.as_str())
            .bind(millis(retention))
            .bind(limit)
            .fetch_one(&self.pool)
            .await?;
        Ok(deleted.cast_unsigned())
    }
}
