//! From where the outbox is read: up to the floor nothing waits, and nothing will. Without it each read would step over what was
//! published before and is not vacuumed yet.
//!
//! Ids are taken before their transactions commit, so that lower ones may appear after higher ones. But a transaction has
//! its number before it takes an id (`wasaga.task_out_next_id`): once all transactions have ended that began before some id
//! was the last one taken, the ids up to it are there, or never will be. A transaction that stays open keeps the floor
//! where it is; nothing waits for it.

use crate::{Store, StoreError};

/// From where the outbox is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    after: i64,
    /// The last id taken when this was looked at last.
    taken: i64,
    next: Option<Next>,
}

/// Up to where the floor may rise, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next {
    id: i64,
    /// Transactions with lower numbers must have ended.
    transactions: i64,
}

/// What one snapshot shows.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The first message past the floor that waits.
    waiting: Option<i64>,
    /// The last id taken; at the time of the snapshot or later.
    taken: i64,
    /// Transactions with lower numbers had ended.
    ended: i64,
    /// Transactions with higher numbers had not begun before the look. It is the look's own number: a snapshot's xmax is
    /// only past the last one that has ended, and others may be under way beyond it.
    begun: i64,
}

impl Floor {
    /// No message with this id or a lower one waits.
    pub fn after(&self) -> i64 {
        self.after
    }

    fn raised(self, seen: Seen) -> Self {
        if seen.taken < self.taken {
            // The database is another one, or an older state of it.
            return Self::default();
        }
        let Self { mut after, mut next, .. } = self;
        if let Some(Next { id, transactions }) = next
            && seen.ended >= transactions
        {
            after = after.max(seen.waiting.map_or(id, |waiting| id.min(waiting - 1)));
            next = None;
        }
        // What was taken by the time of the last look was taken before this one's snapshot.
        let next = next.or(Some(Next { id: self.taken, transactions: seen.begun }));
        Self { after, taken: seen.taken, next }
    }
}

impl Store {
    /// Where the floor is by now.
    pub async fn task_out_floor(&self, floor: Floor) -> Result<Floor, StoreError> {
        self.floor_of(floor, None).await
    }

    /// Where the floor is by now of the messages to these topics that a plugin has yet to see. It is another one for
    /// other topics.
    pub async fn handle_out_floor(
        &self,
        floor: Floor,
        topics: &[String],
    ) -> Result<Floor, StoreError> {
        self.floor_of(floor, Some(topics)).await
    }

    async fn floor_of(&self, floor: Floor, topics: Option<&[String]>) -> Result<Floor, StoreError> {
        let (waiting, taken, ended, begun) = sqlx::query_as(
            "select (select id from wasaga.task_out
                     where status in ('wait', 'work') and id > $1
                       and ($2::text[] is null or not handled and topic = any ($2))
                     order by id limit 1),
                 (select last_value - (not is_called)::int from wasaga.task_out_id_seq),
                 pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
                 pg_current_xact_id()::text::bigint",
        )
        .bind(floor.after)
        .bind(topics)
        .fetch_one(&self.pool)
        .await?;
        Ok(floor.raised(Seen { waiting, taken, ended, begun }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(floor: Floor, waiting: Option<i64>, taken: i64, ended: i64, begun: i64) -> Floor {
        floor.raised(Seen { waiting, taken, ended, begun })
    }

    #[test]
    fn it_rises_when_those_who_took_ids_have_ended() {
        let floor = look(Floor::default(), None, 9, 100, 100);
        // Transaction 105 has taken id 7, and is under way until the last look.
        let floor = look(floor, Some(9), 12, 105, 110);
        let floor = look(floor, Some(9), 12, 105, 120);
        assert_eq!(floor.after(), 0);
        let floor = look(floor, Some(7), 12, 120, 120);
        assert_eq!(floor.after(), 6);
    }

    #[test]
    fn it_stays_below_what_waits_and_below_what_was_taken_before() {
        let floor =
            look(look(look(Floor::default(), None, 9, 1, 1), None, 20, 1, 1), None, 30, 1, 1);
        assert_eq!(floor.after(), 9, "20 may have been taken after the second look's snapshot");
        let floor = look(look(floor, Some(12), 40, 2, 2), Some(12), 40, 2, 2);
        assert_eq!(floor.after(), 11);
    }

    #[test]
    fn ids_that_are_taken_again_have_it_begin_anew() {
        let floor = look(look(look(Floor::default(), None, 9, 1, 1), None, 9, 1, 1), None, 9, 1, 1);
        assert_eq!(floor.after(), 9);
        assert_eq!(look(floor, None, 8, 1, 1), Floor::default());
    }
}
