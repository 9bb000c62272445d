//! Promise 6: of one key, what came first is published and handled first.

use super::Check;

pub(super) const CHECKS: [Check; 2] = [
    (
        6,
        "a saga's messages of one key are published in the order in which they were committed",
        "select a.saga_id, a.topic, a.id as committed_first, b.id as published_first
         from checked.published a
         join checked.published b using (saga_id, topic, key, cluster, partition)
         where a.id < b.id and a.\"offset\" > b.\"offset\"",
    ),
    (
        6,
        "records of one key are handled in their order",
        "select a.topic, a.partition, a.\"offset\" as came_first, b.\"offset\" as handled_first
         from wasaga.task_in a join wasaga.task_in b using (cluster, topic, partition, key)
         where a.status = 'ready' and b.status = 'ready' and a.\"offset\" < b.\"offset\"
             and a.finished_at > b.finished_at",
    ),
];
