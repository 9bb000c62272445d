//! `wasaga.emitted` and `wasaga.accepted`: what is known for a while of messages that applications emitted and accepted.

use crate::{Store, StoreError};

impl Store {
    /// Deletes keys and accepted messages past their horizon, at most `limit` of each; how many of that which has more.
    pub async fn horizons_forget(&self, limit: i64) -> Result<u64, StoreError> {
        let forgotten: i64 = sqlx::query_scalar(
            "with keys as (
                 delete from wasaga.emitted where idempotency_key in (
                     select idempotency_key from wasaga.emitted where until <= now() order by until
                     limit $1 for update skip locked)
                 returning 1
             ), messages as (
                 delete from wasaga.accepted where (consumer, message_id) in (
                     select consumer, message_id from wasaga.accepted where until <= now() order by until
                     limit $1 for update skip locked)
                 returning 1
             )
             select greatest((select count(*) from keys), (select count(*) from messages))",
        )
        .bind(limit)
        .fetch_one(&self.pool)
        .await?;
        Ok(forgotten.cast_unsigned())
    }
}
