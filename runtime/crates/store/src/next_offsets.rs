//! `wasaga.next_offsets`: where consumption of each (cluster, topic, partition) resumes. They are moved by
//! [`Store::task_in_insert`](crate::task_in_insert), in the transaction that stores the tasks.

use crate::{Store, StoreError};

impl Store {
    /// The next offset of each of these (topic, partition), absent where none was ever stored; in the order given.
    pub async fn next_offsets(
        &self,
        cluster: &str,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Option<i64>>, StoreError> {
        let topics: Vec<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
        let numbers: Vec<i32> = partitions.iter().map(|(_, number)| *number).collect();
        let next = sqlx::query_scalar(
            "select n.next from unnest($2::text[], $3::int[]) with ordinality as p (topic, partition, n)
             left join wasaga.next_offsets n
               on n.cluster = $1 and n.topic = p.topic and n.partition = p.partition
             order by p.n",
        )
        .bind(cluster)
        .bind(topics)
        .bind(numbers)
        .fetch_all(&self.pool)
        .await?;
        Ok(next)
    }
}
