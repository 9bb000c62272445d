//! `wasaga.lanes`: who works on which lane of a task flow. A lane's lease is its host's: it is good while the row
//! in `wasaga.hosts` is. Each take has a new epoch, which whatever is written for the lane names.

pub use wasaga_domain::flow::Flow;
use wasaga_domain::ids::HostId;

use crate::{Store, StoreError};

/// A lane that a host holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Its flow.
    pub flow: Flow,
    /// Its number, from 0.
    pub number: i16,
    /// Grows with each take.
    pub epoch: i64,
}

/// The lane of a record: FNV-1a (64 bits) over topic, 0xff, partition (4 bytes, little endian) and key, modulo `lanes`.
/// A record without key has no place in any order: its offset (8 bytes) stands for the key. Never to be changed: waiting
/// tasks would change their lanes.
pub fn lane(topic: &str, partition: i32, key: Option<&[u8]>, offset: i64, lanes: u16) -> i16 {
    let offset = offset.to_le_bytes();
    let partition = partition.to_le_bytes();
    let bytes = [topic.as_bytes(), &[0xff], &partition, key.unwrap_or(&offset)];
    let hash = bytes.iter().copied().flatten().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % u64::from(lanes.max(1))) as i16
}

impl Store {
    /// Takes at most `limit` lanes that are free, or whose host lives no more: that interrupted the tasks it had a
    /// guest called for. Takes none for a host whose own lease has ended. Answers with what was taken.
    pub async fn lanes_take(
        &self,
        host: HostId,
        flow: Flow,
        limit: i64,
    ) -> Result<Vec<Lane>, StoreError> {
        let taken = sqlx::query_as::<_, (i16, i64)>(
            "with free as (
                 select l.lane, l.host_id is not null as lost from wasaga.lanes l
                 where l.flow = $2
                   and not exists (select from wasaga.hosts h where h.id = l.host_id and h.lease_until > now())
                   and exists (select from wasaga.hosts h where h.id = $1 and h.lease_until > now())
                 order by l.lane limit $3 for update skip locked
             ), left_behind as (
                 update wasaga.task_in task
                 set status = 'wait', interruptions = task.interruptions + free.lost::int
                 from free where $2 = 'in' and task.lane = free.lane and task.status = 'work'
             ), letters_in as (
                 update wasaga.dead_letter_in letter
                 set status = 'wait', interruptions = letter.interruptions + free.lost::int
                 from free where $2 = 'dead_in' and letter.lane = free.lane and letter.status = 'work'
             ), letters_out as (
                 update wasaga.dead_letter_out letter
                 set status = 'wait', interruptions = letter.interruptions + free.lost::int
                 from free where $2 = 'dead_out' and letter.lane = free.lane and letter.status = 'work'
             )
             update wasaga.lanes l set host_id = $1, epoch = l.epoch + 1
             from free where l.flow = $2 and l.lane = free.lane
             returning l.lane, l.epoch",
        )
        .bind(host.0)
        .bind(flow.as_str())
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(lanes(flow, taken))
    }

    /// Gives lanes back; those that are another's by now stay with it. Whatever runs for them must have ended.
    pub async fn lanes_release(
        &self,
        host: HostId,
        flow: Flow,
        numbers: &[i16],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update wasaga.lanes set host_id = null where flow = $2 and host_id = $1 and lane = any ($3)",
        )
        .bind(host.0)
        .bind(flow.as_str())
        .bind(numbers)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The lanes a host holds.
    pub async fn lanes_of(&self, host: HostId, flow: Flow) -> Result<Vec<Lane>, StoreError> {
        let held = sqlx::query_as::<_, (i16, i64)>(
            "select l.lane, l.epoch from wasaga.lanes l where l.flow = $2 and l.host_id = $1
               and exists (select from wasaga.hosts h where h.id = $1 and h.lease_until > now())",
        )
        .bind(host.0)
        .bind(flow.as_str())
        .fetch_all(&self.pool)
        .await?;
        Ok(lanes(flow, held))
    }

    /// How many lanes a host may hold, so that all living hosts have their part: lanes / hosts, rounded up.
    pub async fn lanes_share(&self, flow: Flow) -> Result<usize, StoreError> {
        let share: i64 = sqlx::query_scalar(
            "select ceil(count(*)::numeric / greatest(1,
                 (select count(*) from wasaga.hosts where works and lease_until > now())))::bigint
             from wasaga.lanes where flow = $1",
        )
        .bind(flow.as_str())
        .fetch_one(&self.pool)
        .await?;
        Ok(share as usize)
    }

    /// How many hosts live that take their share of sagas and in tasks.
    pub async fn hosts_alive(&self) -> Result<i64, StoreError> {
        let alive = sqlx::query_scalar(
            "select count(*) from wasaga.hosts where works and lease_until > now()",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(alive)
    }
}

fn lanes(flow: Flow, rows: Vec<(i16, i64)>) -> Vec<Lane> {
    let mut lanes: Vec<_> =
        rows.into_iter().map(|(number, epoch)| Lane { flow, number, epoch }).collect();
    lanes.sort_unstable();
    lanes
}

#[cfg(test)]
mod tests {
    use super::lane;

    #[test]
    fn lanes_never_change() {
        let of = |topic, partition, key: Option<&[u8]>| lane(topic, partition, key, 7, 16);
        let seen =
            [of("orders", 0, Some(b"a")), of("orders", 1, Some(b"a")), of("orders", 0, None)];
        assert_eq!(seen, [8, 11, 14]);
        let spread: std::collections::BTreeSet<_> =
            (0..200_u8).map(|key| of("orders", 0, Some(&[key]))).collect();
        assert_eq!(spread.len(), 16);
    }
}
