//! How the tasks of each flow are found and read: one shape for all, whatever their table.

use crate::lanes::Flow;

/// Waiting tasks of the lanes $1 past the id $2, at most $3, and of any flow but `in` of the topics $4:
/// [`WaitingTask`](crate::task_in::WaitingTask). Messages on their way out leave out the ids $5, the topics $6, and
/// the keys of $7 and $8.
pub(crate) fn find(flow: Flow) -> &'static str {
    match flow {
        Flow::In | Flow::Out => {
            "select * from wasaga.task_in_find($1, $2, $3) where cardinality($4::text[]) = 0"
        }
        Flow::HandleOut => {
            "select id, 0::smallint as lane, topic, 0 as partition, key, attempts,
                 greatest(0, ceil(extract(epoch from due_at - clock_timestamp()) * 1000))::bigint as due_ms
             from wasaga.task_out t
             where 0 = any ($1) and status = 'wait' and not handled and id > $2 and topic = any ($4)
               and id not in (select unnest($5::bigint[]))
               and topic <> all ($6::text[])
               and (key is null or (topic, key) not in (select * from unnest($7::text[], $8::bytea[])))
               and id > (select h.from_id from wasaga.handled_topics h where h.topic = t.topic)
             order by id limit $3"
        }
        // Letters have no order among them: no key. What is larger than any message that a plugin may emit is an operator's. Most wait for an operator, and only those of the topics are looked at:
        // ordered by topic too, or Postgres would read all of them in the order of their ids.
        Flow::DeadIn => {
            "select letter.* from unnest($4::text[]) as named (name), lateral (
                 select id, lane, topic, partition, null::bytea as key, handling_attempts as attempts,
                     greatest(0, ceil(extract(epoch from due_at - clock_timestamp()) * 1000))::bigint as due_ms
                 from wasaga.dead_letter_in
                 where (topic, id) > (name, $2) and (topic, id) <= (name, 9223372036854775807)
                     and lane = any ($1) and status in ('wait', 'work')
                     and coalesce(octet_length(value), 0) <= 10485760
                 order by topic, id limit $3) letter
             order by id limit $3"
        }
        Flow::DeadOut => {
            "select letter.* from unnest($4::text[]) as named (name), lateral (
                 select id, lane, topic, 0 as partition, null::bytea as key, handling_attempts as attempts,
                     greatest(0, ceil(extract(epoch from due_at - clock_timestamp()) * 1000))::bigint as due_ms
                 from wasaga.dead_letter_out
                 where (topic, id) > (name, $2) and (topic, id) <= (name, 9223372036854775807)
                     and lane = any ($1) and status in ('wait', 'work')
                     and coalesce(octet_length(value), 0) <= 10485760
                 order by topic, id limit $3) letter
             order by id limit $3"
        }
    }
}

/// What the tasks $1 carry; marks those of $2 that a guest of the host $3 is about to be called for.
pub(crate) fn read(flow: Flow) -> &'static str {
    match flow {
        Flow::In | Flow::Out => {
            r#"with called as (
                   update wasaga.task_in set status = 'work'
                   where id = any ($2) and status = 'wait'
                     and lane = any (array(select lane from wasaga.lanes where flow = 'in' and host_id = $3))
                   returning set_config('synchronous_commit', 'off', true)
               )
               select id, cluster, topic, partition, "offset", interruptions, key, headers, value,
                   null as idempotency_key, null as traceparent, null::jsonb as reason
               from wasaga.task_in where id = any ($1) and status in ('wait', 'work')"#
        }
        // A message on its way out is not marked: whoever reads the outbox would pass over it.
        Flow::HandleOut => {
            r#"select id, '' as cluster, topic, 0 as partition, 0::bigint as "offset", 0::smallint as interruptions,
                   key, headers, value, coalesce(idempotency_key, message_id::text) as idempotency_key, traceparent,
                   null::jsonb as reason
               from wasaga.task_out where id = any ($1) and status = 'wait' and not handled
                 and $2::bigint[] is not null and $3::bigint is not null"#
        }
        Flow::DeadIn => {
            r#"with called as (
                   update wasaga.dead_letter_in letter set status = 'work' from wasaga.lanes l
                   where letter.id = any ($2) and letter.status = 'wait'
                     and l.flow = 'dead_in' and l.lane = letter.lane and l.host_id = $3
                   returning set_config('synchronous_commit', 'off', true)
               )
               select id, cluster, topic, partition, "offset", interruptions, key, headers, value,
                   null as idempotency_key, null as traceparent, reason
               from wasaga.dead_letter_in where id = any ($1) and status in ('wait', 'work')"#
        }
        Flow::DeadOut => {
            r#"with called as (
                   update wasaga.dead_letter_out letter set status = 'work' from wasaga.lanes l
                   where letter.id = any ($2) and letter.status = 'wait'
                     and l.flow = 'dead_out' and l.lane = letter.lane and l.host_id = $3
                   returning set_config('synchronous_commit', 'off', true)
               )
               select id, '' as cluster, topic, 0 as partition, 0::bigint as "offset", interruptions, key, headers,
                   value, coalesce(idempotency_key, message_id::text) as idempotency_key, traceparent, reason
               from wasaga.dead_letter_out where id = any ($1) and status in ('wait', 'work')"#
        }
    }
}

/// Where the tasks $1 stand.
pub(crate) fn position(flow: Flow) -> &'static str {
    match flow {
        Flow::In | Flow::Out => {
            "select id, status not in ('wait', 'work'), attempts from wasaga.task_in where id = any ($1)"
        }
        Flow::HandleOut => {
            "select id, handled or status <> 'wait', attempts from wasaga.task_out where id = any ($1)"
        }
        Flow::DeadIn => {
            "select id, status not in ('wait', 'work'), handling_attempts from wasaga.dead_letter_in
             where id = any ($1)"
        }
        Flow::DeadOut => {
            "select id, status not in ('wait', 'work'), handling_attempts from wasaga.dead_letter_out
             where id = any ($1)"
        }
    }
}
