//! Promise 3: effectively once inside, at least once outside.

use super::Check;

pub(super) const CHECKS: [Check; 3] = [
    (
        3,
        "a record is taken once",
        "select cluster, topic, partition, \"offset\", count(*) as times from wasaga.task_in
         where cluster <> ''
         group by cluster, topic, partition, \"offset\" having count(*) > 1",
    ),
    (
        3,
        "consumption resumes behind what was taken",
        "select n.topic, n.partition, n.next, max(t.\"offset\") as taken
         from wasaga.next_offsets n join wasaga.task_in t using (cluster, topic, partition)
         group by n.cluster, n.topic, n.partition, n.next having max(t.\"offset\") >= n.next",
    ),
    (
        3,
        "a business key is one saga",
        "select definition, business_key, count(*) as times from wasaga.sagas
         where business_key is not null group by 1, 2 having count(*) > 1",
    ),
];
