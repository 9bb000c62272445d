//! Up to which id all tasks of a flow are there that ever will be. Ids are taken before their transactions commit, so
//! that lower ones may appear after higher ones: whoever looks for tasks only past what it has seen, may pass over one,
//! and then of one key handle a later one first.
//!
//! Whoever adds to `task_in` or to dead letters holds a lock on the table from before it takes an id until its
//! transaction has ended. So once those have ended who hold one at some time, the ids are settled that were taken before
//! that time. Transactions that don't write to the table hold nothing back, however long they are open.

use crate::{Store, StoreError, lanes::Flow};

/// Up to which id all is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Since when the server runs, in seconds since 1970: another life of it may know of fewer ids.
    begun: i64,
    up_to: i64,
    /// The last id taken when this was looked at last.
    taken: i64,
    next: Option<Next>,
}

/// Up to where it rises, when these transactions have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Next {
    id: i64,
    writers: Vec<String>,
}

impl Settled {
    /// What has this id or a lower one is to be seen by every statement from now on, or never.
    pub fn up_to(&self) -> i64 {
        self.up_to
    }

    /// `writers`: who holds a lock; they were looked at when `self.taken` had been taken already.
    fn raised(self, begun: i64, taken: i64, writers: Vec<String>) -> Self {
        if begun != self.begun || taken < self.taken {
            // The database may be another one, or an older state of it.
            return Self { begun, taken, ..Self::default() };
        }
        let mut up_to = self.up_to;
        let mut next = self.next.unwrap_or(Next { id: self.taken, writers: writers.clone() });
        next.writers.retain(|writer| writers.contains(writer));
        let next = if next.writers.is_empty() {
            up_to = next.id;
            None
        } else {
            Some(next)
        };
        Self { begun, up_to, taken, next }
    }
}

impl Store {
    /// What is settled by now of `in`, `dead_in` or `dead_out`, whose ids are taken under a lock on their table.
    pub async fn tasks_settled(&self, flow: Flow, settled: Settled) -> Result<Settled, StoreError> {
        let (begun, taken, writers) = sqlx::query_as(
            "select extract(epoch from pg_postmaster_start_time())::bigint,
                 coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass), 0),
                 array(select virtualtransaction from pg_locks
                       where locktype = 'relation' and mode = 'RowExclusiveLock'
                         and database = (select oid from pg_database where datname = current_database())
                         and relation = $1::regclass)",
        )
        .bind(table(flow))
        .fetch_one(&self.pool)
        .await?;
        Ok(settled.raised(begun, taken, writers))
    }
}

fn table(flow: Flow) -> &'static str {
    match flow {
        Flow::In => "wasaga.task_in",
        Flow::Out | Flow::HandleOut => {
            unreachable!("an emit takes its id before it locks wasaga.task_out: see task_out_floor")
        }
        Flow::DeadIn => "wasaga.dead_letter_in",
        Flow::DeadOut => "wasaga.dead_letter_out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(settled: Settled, taken: i64, writers: &[&str]) -> Settled {
        settled.raised(1, taken, writers.iter().map(|writer| (*writer).to_owned()).collect())
    }

    #[test]
    fn it_rises_when_those_who_wrote_have_ended() {
        let settled = look(Settled::default(), 9, &["3/1"]);
        let settled = look(settled, 12, &["3/1", "4/1"]);
        let settled = look(settled, 15, &["3/1", "5/1"]);
        assert_eq!(settled.up_to(), 0);
        let settled = look(settled, 20, &["5/1"]);
        assert_eq!(settled.up_to(), 9, "of 12 there may be some of 5/1");
        assert_eq!(look(settled, 21, &[]).up_to(), 20);
    }

    #[test]
    fn another_life_of_the_server_has_it_begin_anew() {
        let settled = look(look(Settled::default(), 9, &[]), 9, &[]);
        assert_eq!(settled.up_to(), 9);
        assert_eq!(look(settled.clone(), 8, &[]).up_to(), 0);
        assert_eq!(settled.raised(2, 9, Vec::new()).up_to(), 0);
    }
}
