//! Promises about any saga, task and lease.

use super::{ENDED, Promise};

/// How many sagas, messages and in tasks are not at their end.
pub(super) fn under_way() -> String {
    format!(
        "select (select count(*) from wasaga.sagas where not ({ENDED}))
              + (select count(*) from wasaga.task_out where status in ('wait', 'work'))
              + (select count(*) from wasaga.task_in where status in ('wait', 'work'))"
    )
}

pub(super) const PROMISES: [Promise; 12] = [
    (
        "the journal has no gaps, and ends where the saga stands",
        "select s.id, s.sequence, count(j.number) as entries, max(j.number) as last
         from wasaga.sagas s left join wasaga.journal j on j.saga_id = s.id
         group by s.id
         having count(j.number) <> s.sequence or coalesce(max(j.number), 0) <> s.sequence",
    ),
    (
        "a step is done at most once, and undone at most once",
        "select saga_id, step, direction, count(*) as times
         from wasaga.journal where kind = 'succeeded'
         group by saga_id, step, direction having count(*) > 1",
    ),
    (
        "undo is in reverse order of completion, what may have happened first",
        "with steps as (
             select saga_id, step,
                 min(number) filter (where direction = 'forward' and kind = 'succeeded') as did,
                 min(number) filter (where direction = 'undo' and kind = 'succeeded') as undid
             from wasaga.journal where step is not null group by saga_id, step
         )
         select a.saga_id, a.step as undone_first, b.step as undone_later
         from steps a join steps b using (saga_id)
         where a.undid < b.undid and a.did < coalesce(b.did, 2147483647)",
    ),
    (
        "whatever was done is undone when a saga turns back",
        "select l.saga_id, l.step
         from wasaga.ledger l
         join wasaga.sagas s on s.id = l.saga_id
         join wasaga.definitions d on d.name = s.definition and d.version = s.version,
             jsonb_array_elements(d.content->'steps') as defined
         where s.status in ('compensated', 'failed') and not l.undone
             and defined->>'name' = l.step and defined->'compensation' ? 'undo'",
    ),
    (
        "a saga that turned back goes forward no more",
        "select back.saga_id, forth.step
         from wasaga.journal back join wasaga.journal forth using (saga_id)
         where back.kind = 'undoing' and forth.number > back.number
             and forth.direction = 'forward' and forth.kind = 'succeeded'",
    ),
    (
        "a completed saga has undone nothing, and done or skipped every step",
        "select s.id, undone.step as undone, missed.name as missed
         from wasaga.sagas s
         join wasaga.definitions d on d.name = s.definition and d.version = s.version
         left join lateral (
             select step from wasaga.journal where saga_id = s.id and direction = 'undo' limit 1
         ) undone on true
         left join lateral (
             select defined->>'name' as name from jsonb_array_elements(d.content->'steps') as defined
             where not exists (select from wasaga.journal j where j.saga_id = s.id
                 and j.step = defined->>'name' and j.kind in ('succeeded', 'skipped'))
             limit 1
         ) missed on true
         where s.status = 'completed' and (undone.step is not null or missed.name is not null)",
    ),
    (
        "a saga says its end once, and last",
        "select s.id, s.status
         from wasaga.sagas s join wasaga.journal j on j.saga_id = s.id
         where j.kind in ('completed', 'compensated', 'saga_failed')
         group by s.id having count(*) > 1 or max(j.number) <> s.sequence",
    ),
    (
        "only what ran has a digest, and that of a known module",
        "select j.saga_id, j.number from wasaga.journal j
         where (j.kind = 'succeeded' and j.digest is null)
            or (j.digest is not null and not exists (select from wasaga.modules m where m.digest = j.digest))",
    ),
    (
        "an ended saga holds no lease and waits for nothing",
        "select s.id, w.topic, t.due_at from wasaga.sagas s
         left join wasaga.waits w on w.saga_id = s.id
         left join wasaga.timers t on t.saga_id = s.id
         where s.status in ('completed', 'compensated', 'failed')
             and (w.topic is not null or t.due_at is not null or s.host_id is not null)",
    ),
    (
        "the outbox is published, and nothing of it is given up",
        "select id, topic, status, error from wasaga.task_out where status <> 'ready'",
    ),
    (
        "in tasks are done, or in the dead letters",
        "select t.id, t.topic, t.status, t.error from wasaga.task_in t
         where t.status <> 'ready'
             and not (t.status = 'error' and exists (select from wasaga.dead_letter_in d where d.task_id = t.id))",
    ),
    (
        "a record is taken once",
        "select cluster, topic, partition, \"offset\", count(*) as times from wasaga.task_in
         group by cluster, topic, partition, \"offset\" having count(*) > 1",
    ),
];
