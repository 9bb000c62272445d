//! Promise 2: what was acknowledged reaches a final state, or an operator's list.

use super::{Check, ENDED};

/// How many sagas, messages and in tasks are not at their end. The event of an order's end, which nobody waits for, is on its
/// way until the notification service has it.
pub(super) fn under_way() -> String {
    format!(
        "select (select count(*) from wasaga.sagas where not ({ENDED}))
              + (select count(*) from wasaga.task_out where status in ('wait', 'work'))
              + (select count(*) from wasaga.task_in where status in ('wait', 'work'))
              + (select count(*) from wasaga.task_out o
                 where o.topic = 'orders.events' and to_regclass('plugin_notification.notifications') is not null
                     and not exists (select from wasaga.task_in i
                         where i.topic = o.topic and i.message_id = o.message_id::text))"
    )
}

pub(super) const CHECKS: [Check; 5] = [
    (
        2,
        "the outbox is published, and nothing of it is given up",
        "select id, topic, status, error from wasaga.task_out where status <> 'ready'",
    ),
    (
        2,
        "in tasks are done, or in the dead letters",
        "select t.id, t.topic, t.status, t.error from wasaga.task_in t
         where t.status <> 'ready'
             and not (t.status = 'error' and exists (select from wasaga.dead_letter_in d where d.task_id = t.id))",
    ),
    (
        2,
        "what an ended saga was asked stands in its history",
        "select s.id, asked.times as asked, told.times as told
         from wasaga.sagas s
         cross join lateral (
             select count(*) as times from wasaga.mail m where m.saga_id = s.id and m.kind = 'verb'
         ) asked
         cross join lateral (
             select count(*) as times from wasaga.journal j where j.saga_id = s.id and j.kind in ('cancelled',
                 'declined', 'paused', 'resumed', 'passed_over', 'undo_supplied', 'resolved')
         ) told
         where s.ended and asked.times <> told.times",
    ),
    (
        2,
        "a child's end is told its parent once, and as it is",
        "select c.parent_id, c.child_id, 'not told' as told
         from wasaga.children c join wasaga.sagas s on s.id = c.child_id where s.ended
         union all
         select m.saga_id, s.id, string_agg(m.content ->> 'status', ' ')
         from wasaga.mail m join wasaga.sagas s on s.id = (m.content ->> 'saga')::uuid
         where m.kind = 'child'
         group by m.saga_id, s.id, s.status
         having count(*) > 1 or max(m.content ->> 'status') <> s.status",
    ),
    (
        // A child may end while its parent's commit is under way.
        2,
        "the children of a saga that turned back are cancelled, and end",
        "select c.parent_id, c.id, c.status
         from wasaga.sagas c join wasaga.journal back on back.saga_id = c.parent_id and back.kind = 'undoing'
         where not c.ended
             or (not exists (select from wasaga.mail m where m.saga_id = c.id and m.content ->> 'verb' = 'cancel')
                 and exists (select from wasaga.journal j where j.saga_id = c.id
                     and j.at > back.at + interval '1 second'))",
    ),
];
