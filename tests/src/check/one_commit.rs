//! Promise 1: output, undo data, effects, timers, journal entry and next state land together.

use super::Check;

pub(super) const CHECKS: [Check; 9] = [
    (
        1,
        "the journal has no gaps, and ends where the saga stands",
        "select s.id, s.sequence, count(j.number) as entries, max(j.number) as last
         from wasaga.sagas s left join wasaga.journal j on j.saga_id = s.id
         group by s.id
         having count(j.number) <> s.sequence or coalesce(max(j.number), 0) <> s.sequence",
    ),
    (
        1,
        "a step is done at most once, and undone at most once",
        "select saga_id, step, direction, count(*) as times
         from wasaga.journal where kind = 'succeeded'
         group by saga_id, step, direction having count(*) > 1",
    ),
    (
        1,
        "a saga says its end once, and last",
        "select s.id, s.status
         from wasaga.sagas s join wasaga.journal j on j.saga_id = s.id
         where j.kind in ('completed', 'compensated', 'saga_failed')
         group by s.id having count(*) > 1 or max(j.number) <> s.sequence",
    ),
    (
        1,
        "an ended saga holds no lease and waits for nothing",
        "select s.id, w.topic, t.due_at from wasaga.sagas s
         left join wasaga.waits w on w.saga_id = s.id
         left join wasaga.timers t on t.saga_id = s.id
         where s.status in ('completed', 'compensated', 'failed')
             and (w.topic is not null or t.due_at is not null or s.host_id is not null)",
    ),
    (
        1,
        "what a step asks for is in the outbox once for each time it waits",
        "with asks (definition, step, topic) as (values
             ('order', 'reserve_inventory', 'inventory.commands'), ('order', 'process_payment', 'payment.commands'),
             ('order', 'create_shipment', 'shipping.commands'), ('trip', 'flight', 'agency.commands'),
             ('trip', 'hotel', 'agency.commands'), ('trip', 'car', 'agency.commands'),
             ('expense', 'approve', 'expense.requests')
         ), waited as (
             select s.id as saga_id, asks.topic, format('%s/%s/%s%s', s.id, lpad(to_hex(s.nonce), 8, '0'), j.step,
                 case j.direction when 'undo' then '/undo' end) as idempotency_key, count(*) as times
             from wasaga.journal j
             join wasaga.sagas s on s.id = j.saga_id
             join asks on asks.definition = s.definition and asks.step = j.step
             where j.kind = 'waiting' group by s.id, asks.topic, j.step, j.direction
         ), sent as (
             select o.saga_id, o.topic, o.idempotency_key, count(*) as times
             from wasaga.task_out o
             where o.saga_id is not null and o.topic in (select topic from asks) group by 1, 2, 3
         )
         select saga_id, topic, idempotency_key, w.times as waited, s.times as sent
         from waited w full join sent s using (saga_id, topic, idempotency_key)
         where w.times is distinct from s.times",
    ),
    (
        1,
        "each transition is published once on its definition's lifecycle topic",
        "select event_id, published.id
         from (select * from checked.told where topic is not null) told
         full join (select * from wasaga.task_out where topic in (select topic from checked.told)) published
             on published.topic = told.topic and published.idempotency_key = told.event_id
         where told.event_id is null or published.id is null
         union all
         select idempotency_key, max(id) from wasaga.task_out
         where topic in (select topic from checked.told)
         group by topic, idempotency_key having count(*) > 1",
    ),
    (
        1,
        "each transition is handed once to a plugin that listens",
        "with heard as (
             select id, substr(topic, length('wasaga:lifecycle:') + 1) as plugin,
                 convert_from(key, 'UTF8') as saga, \"offset\" as number
             from wasaga.task_in where topic like 'wasaga:lifecycle:%'
         )
         select told.event_id, heard.id
         from (select * from checked.told where plugin in (select plugin from heard)) told
         full join heard on heard.plugin = told.plugin and heard.saga = told.saga_id::text
             and heard.number = told.number
         where told.event_id is null or heard.id is null",
    ),
    (
        1,
        "a stream's versions have no gaps, and its snapshot is of one of them",
        "select plugin, stream_id, count(e.version) as events, max(e.version) as last, max(s.version) as snapshot
         from wasaga.events e full join wasaga.snapshots s using (plugin, stream_id)
         group by plugin, stream_id
         having count(e.version) <> coalesce(max(e.version), 0) or max(s.version) > count(e.version)",
    ),
    (
        1,
        "a saga that appended events has committed a step",
        "select e.plugin, e.stream_id, e.version, e.saga_id from wasaga.events e
         where e.saga_id is not null
             and not exists (select from wasaga.journal j where j.saga_id = e.saga_id and j.digest is not null)",
    ),
];
