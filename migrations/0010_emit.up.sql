-- Messages from and to any application, in its own transaction; its role needs no more than `grant usage on schema wasaga`
-- and `grant execute` on `emit`, `emit_many` or `accept`.

create domain wasaga.max_attempts as integer check (value > 0);
alter table wasaga.task_out
    add column aggregate_id text,
    add column event_type text,
    add column max_attempts wasaga.max_attempts;

-- The first messages that wait past p_after, by id, but for those that a plugin has yet to see and for p_not_ids,
-- p_not_topics and the keys of p_not_key_topics and p_not_keys: at most p_limit, and none after p_bytes of them are reached.
-- `held` says whether the lane is the host's, and nothing is read where it is not.
--
-- Always along the index of what waits: how many of the messages wait changes faster than Postgres counts them, and by
-- counts of a quiet time it would sort all of a backlog for each read, or compile the query for longer than it runs.
create function wasaga.task_out_waiting(
    p_host bigint, p_lane smallint, p_epoch bigint, p_after bigint, p_not_ids bigint[], p_not_topics text[],
    p_not_key_topics text[], p_not_keys bytea[], p_limit bigint, p_bytes bigint,
    out held boolean, out ids bigint[], out message_ids uuid[], out saga_ids uuid[], out idempotency_keys text[],
    out traceparents text[], out topics text[], out keys bytea[], out headers jsonb[], out "values" bytea[],
    out attempts integer[], out max_attempts integer[]
) language plpgsql stable
    set enable_bitmapscan = off set enable_seqscan = off set enable_sort = off set jit = off as $$
begin
    with mine as materialized (
        select from wasaga.lanes l where l.flow = 'out' and l.lane = p_lane and l.epoch = p_epoch and l.host_id = p_host
    ), first as (
        select * from wasaga.task_out t
        where t.status = 'wait' and exists (select from mine)
            and t.id > p_after
            and (t.handled or t.topic <> all (array(select h.topic from wasaga.handled_topics h))
                or t.id <= (select max(h.from_id) from wasaga.handled_topics h)
                    and t.id <= (select h.from_id from wasaga.handled_topics h where h.topic = t.topic))
            and t.id not in (select unnest(p_not_ids))
            and t.topic <> all (p_not_topics)
            and (t.key is null or (t.topic, t.key) not in (select * from unnest(p_not_key_topics, p_not_keys)))
        order by t.id limit p_limit
    ), sized as (
        select *, coalesce(octet_length(f.value), 0) + 300 as size from first f
    ), added as (
        select *, sum(s.size) over (order by s.id rows unbounded preceding) - s.size as before from sized s
    )
    select exists (select from mine), coalesce(array_agg(a.id), '{}'), coalesce(array_agg(a.message_id), '{}'),
        coalesce(array_agg(a.saga_id), '{}'), coalesce(array_agg(a.idempotency_key), '{}'),
        coalesce(array_agg(a.traceparent), '{}'), coalesce(array_agg(a.topic), '{}'), coalesce(array_agg(a.key), '{}'),
        coalesce(array_agg(a.headers), '{}'), coalesce(array_agg(a.value), '{}'), coalesce(array_agg(a.attempts::integer), '{}'),
        coalesce(array_agg(a.max_attempts::integer), '{}')
    into held, ids, message_ids, saga_ids, idempotency_keys, traceparents, topics, keys, headers, "values", attempts,
        max_attempts
    from added a where a.before < p_bytes;
end $$;

-- Gives a message up that waits: its dead letter is written, and its rollback message, where it has one, is added.
create function wasaga.task_out_give_up(p_id bigint, p_reason jsonb) returns void language sql as $$
    with given_up as (
        update wasaga.task_out
        set status = case when rollback is null then 'error_rollback_none' else 'rollback' end,
            attempts = attempts + 1, error = p_reason
        where id = p_id and status = 'wait'
        returning *
    ), dead as (
        insert into wasaga.dead_letter_out (task_id, reason, attempts, max_attempts, message_id, saga_id,
            idempotency_key, traceparent, aggregate_id, event_type, topic, key, headers, value, rollback, handled,
            handling_attempts)
        select id, error, attempts, max_attempts, message_id, saga_id, idempotency_key, traceparent, aggregate_id,
            event_type, topic, key, headers, value, rollback, handled, handling_attempts
        from given_up
    )
    insert into wasaga.task_out (saga_id, idempotency_key, traceparent, topic, key, headers, value)
    select saga_id, idempotency_key || '/rollback', traceparent, rollback ->> 'topic',
        decode(rollback ->> 'key', 'base64'), coalesce(rollback -> 'headers', '[]'),
        decode(rollback ->> 'value', 'base64')
    from given_up where rollback is not null
$$;

-- What a plugin made of messages before they are published: see tasks_finish.
create function wasaga.task_out_handled(
    p_host bigint, p_ids bigint[], p_lanes smallint[], p_epochs bigint[], p_results text[], p_attempts integer[],
    p_due_ms bigint[], p_errors jsonb[],
    o_t integer[], o_topics text[], o_keys bytea[], o_headers jsonb[], o_values bytea[]
) returns setof bigint language plpgsql as $$
declare
    a record;
begin
    -- An activation that names other topics is seen here, or waits for this commit.
    lock table wasaga.handled_topics in row share mode;
    for a in
        select e.*, o.t is not null as publishes, o.topic, o.key, o.headers, o.value
        from unnest(p_ids, p_lanes, p_epochs, p_results, p_attempts, p_due_ms, p_errors)
            with ordinality as e (id, lane, epoch, result, attempts, due_ms, error, n)
        join wasaga.lanes l on l.flow = 'handle_out' and l.lane = e.lane and l.epoch = e.epoch and l.host_id = p_host
        left join unnest(o_t, o_topics, o_keys, o_headers, o_values) as o (t, topic, key, headers, value) on o.t = e.n
        order by e.id
    loop
        -- Another transaction may have given it up, or published it, since; and where no plugin takes part in its topic any
        -- more, or one does so anew, the relay may be publishing it now.
        continue when not exists (
            select from wasaga.task_out t join wasaga.handled_topics h on h.topic = t.topic and t.id > h.from_id
            where t.id = a.id and t.status = 'wait' and not t.handled for no key update of t);
        case
            when a.result = 'error' then
                perform wasaga.task_out_give_up(a.id, a.error);
            when a.result = 'wait' then
                update wasaga.task_out set attempts = a.attempts, error = a.error,
                    due_at = now() + a.due_ms * interval '1 millisecond'
                where id = a.id;
            when a.publishes then
                update wasaga.task_out set handled = true, attempts = 0, error = null, due_at = now(), topic = a.topic,
                    key = a.key, headers = a.headers, value = a.value
                where id = a.id;
            else
                update wasaga.task_out set handled = true, status = 'ready', attempts = a.attempts, error = null,
                    finished_at = now()
                where id = a.id;
        end case;
        return next a.id;
    end loop;
end $$;

-- What a plugin sends in the place of dead letters. It is handled where it is what handle-out made of the message; and it has
-- the letter's attempts, or what is given up again and again would be sent again and again.
create function wasaga.dead_letters_send(
    p_ids bigint[], p_done bigint[],
    o_t integer[], o_idempotency_keys text[], o_topics text[], o_keys bytea[], o_headers jsonb[], o_values bytea[],
    o_rollbacks jsonb[]
) returns void language sql as $$
    insert into wasaga.task_out (idempotency_key, topic, key, headers, value, rollback, handled, handling_attempts)
    select o.idempotency_key, o.topic, o.key, o.headers, o.value, o.rollback,
        l.handled and (o.topic, o.key, o.headers, o.value) is not distinct from (l.topic, l.key, l.headers, l.value),
        l.handling_attempts
    from unnest(o_t, o_idempotency_keys, o_topics, o_keys, o_headers, o_values, o_rollbacks)
        with ordinality as o (t, idempotency_key, topic, key, headers, value, rollback, n)
    join wasaga.dead_letter_out l on l.id = p_ids[o.t]
    where l.id = any (p_done)
    order by o.n
$$;

-- Which message was emitted first under a key. A key is known until the horizon, however early its message is deleted.
-- Another horizon: `alter table wasaga.emitted alter until set default now() + interval '30 days'`.
create table wasaga.emitted (
    idempotency_key text primary key,
    task_id bigint not null,
    digest bytea not null,
    until timestamptz not null default now() + interval '7 days'
);
create index emitted_until on wasaga.emitted (until);

-- What an application's consumer has handled; the same horizon, set in the same way.
create table wasaga.accepted (
    consumer text not null,
    message_id text not null,
    until timestamptz not null default now() + interval '7 days',
    primary key (consumer, message_id)
);
create index accepted_until on wasaga.accepted (until);

-- Bytes of what JSON holds as base64. The relay is as strict.
create function wasaga.from_base64(p_what text, p_text text) returns bytea language plpgsql immutable strict as $$
declare
    v_bytes bytea;
begin
    v_bytes := decode(p_text, 'base64');
    if translate(encode(v_bytes, 'base64'), E'\n', '') <> p_text then
        raise invalid_parameter_value;
    end if;
    return v_bytes;
exception when invalid_parameter_value then
    raise exception '% is not base64', p_what
        using errcode = '22023', hint = 'standard alphabet, with padding, without line breaks';
end $$;

-- A text that may be absent, but not empty, and no longer than this.
create function wasaga.length_check(p_what text, p_text text, p_longest integer) returns void
    language plpgsql immutable as $$
begin
    if length(p_text) not between 1 and p_longest then
        raise exception '% must have 1 to % characters, and has %', p_what, p_longest, length(p_text)
            using errcode = '22023';
    end if;
end $$;

-- Checks the members of a message that is written as a JSON object.
create function wasaga.members_check(p_what text, p_message jsonb, p_types jsonb) returns void
    language plpgsql immutable as $$
declare
    m record;
begin
    if jsonb_typeof(p_message) <> 'object' then
        raise exception '% must be an object, and is: %', p_what, left(p_message::text, 100)
            using errcode = '22023', hint = 'as {"topic": "orders.events", "key": "o-1", "payload": {"cents": 1200}}';
    end if;
    for m in select name, value, p_types ->> name as type from jsonb_each(p_message) as e (name, value) loop
        if m.type is null then
            raise exception '% has an unknown member "%"', p_what, m.name using errcode = '22023',
                hint = 'the members are ' || (select string_agg(name, ', ') from jsonb_object_keys(p_types) as name);
        end if;
        if m.type <> 'any' and m.value <> 'null' and (jsonb_typeof(m.value) <> m.type
            or m.type = 'number' and m.value::text !~ '^-?[0-9]{1,9}$') then
            raise exception '%: % must be %, and is: %', p_what, m.name,
                case m.type when 'number' then 'an integer' when 'array' then 'an array' when 'object' then 'an object'
                    else 'text' end, left(m.value::text, 100)
                using errcode = '22023';
        end if;
    end loop;
end $$;

-- Headers are an array of [name, value] pairs in order, as every table has them.
create function wasaga.headers_check(p_what text, p_headers jsonb) returns void language plpgsql immutable as $$
declare
    v_header jsonb;
begin
    if jsonb_typeof(p_headers) <> 'array' then
        raise exception '%: headers must be an array of [name, value] pairs, and are: %', p_what,
            left(p_headers::text, 100)
            using errcode = '22023', hint = 'as [["tenant", "acme"], ["seal", {"base64": "/w=="}]]';
    end if;
    for v_header in select jsonb_array_elements(p_headers) loop
        if (jsonb_typeof(v_header) = 'array' and jsonb_typeof(v_header -> 0) = 'string' and v_header ->> 0 <> ''
            and v_header -> 2 is null and case jsonb_typeof(v_header -> 1)
                when 'string' then true
                when 'object' then jsonb_typeof(v_header -> 1 -> 'base64') = 'string'
                    and (v_header -> 1) - 'base64' = '{}'
                else false end) is not true then
            raise exception '%: header % must be [name, text] or [name, {"base64": text}]', p_what,
                left(v_header::text, 100) using errcode = '22023';
        end if;
        if v_header ->> 0 = 'message-id' then
            raise exception '%: the header "message-id" is written by the relay', p_what
                using errcode = '22023', hint = 'leave it out, or give it another name';
        end if;
        if jsonb_typeof(v_header -> 1) = 'object' then
            perform wasaga.from_base64(format('%s: header "%s"', p_what, v_header ->> 0), v_header -> 1 ->> 'base64');
        end if;
    end loop;
end $$;

-- Checks a message's parts; answers with the bytes of its key and value.
create function wasaga.message_bytes(
    p_what text, p_topic text, p_key text, p_key_bytes bytea, p_payload jsonb, p_payload_bytes bytea, p_headers jsonb,
    out key_bytes bytea, out value_bytes bytea
) language plpgsql immutable as $$
declare
    v_size bigint;
    v_twice text := case when p_key is not null and p_key_bytes is not null then 'key'
        when p_payload is not null and p_payload_bytes is not null then 'payload' end;
begin
    -- A bounded repetition in the expression would cost more than the insert.
    if p_topic is null or p_topic ~ '[^a-zA-Z0-9._-]' or length(p_topic) not between 1 and 249
        or p_topic in ('.', '..') then
        raise exception '%: % is no topic''s name', p_what, coalesce(quote_ident(left(p_topic, 300)), 'null')
            using errcode = '22023', hint = 'a topic''s name has 1 to 249 of a-z A-Z 0-9 . _ -';
    end if;
    if v_twice is not null then
        raise exception '%: % and %_bytes are both given', p_what, v_twice, v_twice
            using errcode = '22023', hint = 'give one of them';
    end if;
    if p_headers <> '[]' then
        perform wasaga.headers_check(p_what, p_headers);
    end if;
    key_bytes := coalesce(p_key_bytes, convert_to(p_key, 'UTF8'));
    value_bytes := coalesce(p_payload_bytes, convert_to(p_payload::text, 'UTF8'));
    v_size := coalesce(octet_length(key_bytes), 0)::bigint + coalesce(octet_length(value_bytes), 0)
        + octet_length(p_headers::text);
    if v_size > 10485760 then
        raise exception '%: key, payload and headers have % bytes, and may have 10485760', p_what, v_size
            using errcode = '54000', hint = 'store what is large elsewhere, and send where it is';
    end if;
end $$;

-- A rollback message as `task_out.rollback` holds it.
create function wasaga.rollback_of(p_what text, p_rollback jsonb) returns jsonb language plpgsql immutable as $$
declare
    v_bytes record;
    v_headers jsonb := coalesce(nullif(p_rollback -> 'headers', 'null'), '[]');
begin
    perform wasaga.members_check(p_what, p_rollback, '{"topic": "string", "key": "string", "key_bytes": "string",
        "payload": "any", "payload_bytes": "string", "headers": "array"}');
    v_bytes := wasaga.message_bytes(p_what, p_rollback ->> 'topic', p_rollback ->> 'key',
        wasaga.from_base64(p_what || ': key_bytes', p_rollback ->> 'key_bytes'), nullif(p_rollback -> 'payload', 'null'),
        wasaga.from_base64(p_what || ': payload_bytes', p_rollback ->> 'payload_bytes'), v_headers);
    return jsonb_build_object('topic', p_rollback ->> 'topic', 'headers', v_headers,
        'key', translate(encode(v_bytes.key_bytes, 'base64'), E'\n', ''),
        'value', translate(encode(v_bytes.value_bytes, 'base64'), E'\n', ''));
end $$;

-- CloudEvents' attributes, in the binary mode of its Kafka binding.
create function wasaga.cloud_event_headers(
    p_what text, p_headers jsonb, p_message_id uuid, p_source text, p_type text, p_subject text, p_is_json boolean
) returns jsonb language plpgsql as $$
begin
    if p_type is null then
        raise exception '%: a CloudEvent must have an event_type', p_what
            using errcode = '22004', hint = 'give one, as ''order.placed'', or leave cloud_event_source out';
    end if;
    return p_headers || (
        select jsonb_agg(jsonb_build_array(name, value)) from (values
            ('ce_specversion', '1.0'), ('ce_id', p_message_id::text), ('ce_source', p_source), ('ce_type', p_type),
            ('ce_subject', p_subject),
            ('ce_time', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
            ('content-type', case when p_is_json and p_headers @@ '!exists($[*] ? (@[0] == "content-type"))'
                then 'application/json' end)
        ) as attributes (name, value) where value is not null);
end $$;

-- Adds a message to the outbox, unless it was emitted under its key before. p_what names the message in errors.
create function wasaga.task_out_emit(
    p_what text, p_topic text, p_key text, p_key_bytes bytea, p_payload jsonb, p_payload_bytes bytea, p_headers jsonb,
    p_idempotency_key text, p_rollback jsonb, p_aggregate_id text, p_event_type text, p_max_attempts integer,
    p_cloud_event_source text, p_traceparent text
) returns bigint language plpgsql as $$
declare
    v_headers jsonb := coalesce(p_headers, '[]');
    v_bytes record;
    v_rollback jsonb;
    v_digest bytea;
    v_id bigint;
    v_message_id uuid := gen_random_uuid();
    v_first wasaga.emitted;
begin
    -- A message with none of these is the most frequent one.
    if coalesce(p_idempotency_key, p_aggregate_id, p_event_type, p_cloud_event_source) is not null then
        perform wasaga.length_check(p_what || ': idempotency_key', p_idempotency_key, 500),
            wasaga.length_check(p_what || ': aggregate_id', p_aggregate_id, 500),
            wasaga.length_check(p_what || ': event_type', p_event_type, 500),
            wasaga.length_check(p_what || ': cloud_event_source', p_cloud_event_source, 500);
    end if;
    if p_max_attempts < 1 then
        raise exception '%: max_attempts must be at least 1, and is %', p_what, p_max_attempts
            using errcode = '22023', hint = 'leave it out for the host''s';
    end if;
    if p_traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
        raise exception '%: traceparent % is none of W3C''s trace context', p_what, quote_literal(left(p_traceparent, 100))
            using errcode = '22023', hint = 'as 00-TRACE-SPAN-01, 32 and 16 lower-case hexadecimal digits';
    end if;
    v_bytes := wasaga.message_bytes(p_what, p_topic, p_key, p_key_bytes, p_payload, p_payload_bytes, v_headers);
    if p_rollback is not null then
        v_rollback := wasaga.rollback_of(p_what || ': rollback', p_rollback);
    end if;

    if p_idempotency_key is not null then
        v_digest := sha256(convert_to(jsonb_build_array(p_topic, encode(v_bytes.key_bytes, 'hex'),
            encode(sha256(v_bytes.value_bytes), 'hex'), v_headers, v_rollback, p_aggregate_id, p_event_type,
            p_cloud_event_source)::text, 'UTF8'));
        select * into v_first from wasaga.emitted where idempotency_key = p_idempotency_key and until > now();
        if not found then
            insert into wasaga.emitted as e (idempotency_key, task_id, digest)
            values (p_idempotency_key, wasaga.task_out_next_id(), v_digest)
            on conflict (idempotency_key) do update
                set task_id = excluded.task_id, digest = excluded.digest, until = excluded.until where e.until <= now()
            returning task_id into v_id;
            if not found then
                -- Another transaction has emitted it since.
                select * into v_first from wasaga.emitted where idempotency_key = p_idempotency_key;
            end if;
        end if;
        if v_first.digest <> v_digest then
            raise exception '%: task % was emitted under the key "%" already, and with other content', p_what,
                v_first.task_id, p_idempotency_key using errcode = '23505',
                hint = 'emit the same to be answered with its id, or emit under another key';
        end if;
        if v_first.task_id is not null then
            return v_first.task_id;
        end if;
    end if;

    if p_cloud_event_source is not null then
        v_headers := wasaga.cloud_event_headers(p_what, v_headers, v_message_id, p_cloud_event_source, p_event_type,
            p_aggregate_id, p_payload is not null);
    end if;
    insert into wasaga.task_out (id, message_id, idempotency_key, traceparent, topic, key, headers, value, rollback,
        aggregate_id, event_type, max_attempts)
    values (coalesce(v_id, wasaga.task_out_next_id()), v_message_id, p_idempotency_key, p_traceparent, p_topic,
        v_bytes.key_bytes, v_headers, v_bytes.value_bytes, v_rollback, p_aggregate_id, p_event_type, p_max_attempts)
    returning id into v_id;
    return v_id;
end $$;

-- Sends a message with the caller's own commit; the relay finds it within a sweep. Answers with its id in
-- wasaga.task_out; ids grow in the order of the emits. The key is text or bytes, and may be absent: then the message
-- has no place in any order. The payload is jsonb or bytes; absent it is a tombstone. Under an idempotency key only the
-- first emit sends, and the others are answered with its id; other content under the same key fails with 23505.
-- `rollback` is a message of its own, sent in the place of this one once that is given up:
-- {"topic": …, "key": …, "payload": …, "headers": …}, with key_bytes and payload_bytes as base64. `max_attempts` counts
-- refusals by the broker. With `cloud_event_source` the message is a CloudEvent of this source.
create function wasaga.emit(
    topic text, key text default null, payload jsonb default null, headers jsonb default '[]',
    idempotency_key text default null, rollback jsonb default null, aggregate_id text default null,
    event_type text default null, max_attempts integer default null, cloud_event_source text default null,
    traceparent text default null, key_bytes bytea default null, payload_bytes bytea default null
) returns bigint language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    return wasaga.task_out_emit('the message', topic, key, key_bytes, payload, payload_bytes, headers, idempotency_key,
        rollback, aggregate_id, event_type, max_attempts, cloud_event_source, traceparent);
end $$;

-- The same for many messages, an array of objects whose members are named as emit's parameters are; key_bytes and
-- payload_bytes are base64, and null is as good as absent. All of them are sent, or none. Answers with their ids, in order.
create function wasaga.emit_many(messages jsonb) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_ids bigint[] := '{}';
    v_what text;
    m record;
begin
    if coalesce(jsonb_typeof(messages), 'null') <> 'array' then
        raise exception 'messages must be an array of objects, and are: %', coalesce(left(messages::text, 100), 'null')
            using errcode = '22023', hint = 'as [{"topic": "orders.events", "key": "o-1", "payload": {"cents": 1200}}]';
    end if;
    for m in select * from jsonb_array_elements(messages) with ordinality as e (message, n) loop
        v_what := format('message %s', m.n);
        perform wasaga.members_check(v_what, m.message, '{"topic": "string", "key": "string", "key_bytes": "string",
            "payload": "any", "payload_bytes": "string", "headers": "array", "idempotency_key": "string",
            "rollback": "object", "aggregate_id": "string", "event_type": "string", "max_attempts": "number",
            "cloud_event_source": "string", "traceparent": "string"}');
        v_ids := v_ids || wasaga.task_out_emit(v_what, m.message ->> 'topic', m.message ->> 'key',
            wasaga.from_base64(v_what || ': key_bytes', m.message ->> 'key_bytes'),
            nullif(m.message -> 'payload', 'null'),
            wasaga.from_base64(v_what || ': payload_bytes', m.message ->> 'payload_bytes'),
            nullif(m.message -> 'headers', 'null'), m.message ->> 'idempotency_key',
            nullif(m.message -> 'rollback', 'null'), m.message ->> 'aggregate_id', m.message ->> 'event_type',
            (m.message ->> 'max_attempts')::integer, m.message ->> 'cloud_event_source', m.message ->> 'traceparent');
    end loop;
    return v_ids;
end $$;

-- Whether this consumer sees the message for the first time: true once, with the caller's commit. While another
-- transaction accepts the same message, it waits for how that ends.
create function wasaga.accept(consumer text, message_id text) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if consumer is null or message_id is null then
        raise exception '% is null', case when consumer is null then 'the consumer''s name' else 'the message''s id' end
            using errcode = '22004',
            hint = 'name the consumer as you like; the id is in the header "message-id" of what wasaga sends';
    end if;
    perform wasaga.length_check('the consumer''s name', consumer, 100),
        wasaga.length_check('the message''s id', message_id, 500);
    insert into wasaga.accepted as a (consumer, message_id) values (accept.consumer, accept.message_id)
    on conflict on constraint accepted_pkey do update set until = excluded.until where a.until <= now();
    return found;
end $$;

-- A key as text; what is no text has its other bytes written as \ooo. To look at: two keys may have one text. A view's
-- functions are called by whoever reads it.
create function wasaga.key_text(p_key bytea) returns text language plpgsql immutable strict as $$
begin
    return convert_from(p_key, 'UTF8');
exception when data_exception then
    return encode(p_key, 'escape');
end $$;

-- The outbox in the columns of Debezium's outbox event router.
create view wasaga.outbox as
    select message_id as id, topic as aggregatetype, coalesce(aggregate_id, wasaga.key_text(key)) as aggregateid,
        event_type as type, value as payload, created_at as "timestamp"
    from wasaga.task_out;

revoke all on function wasaga.task_in_find, wasaga.task_out_waiting, wasaga.task_out_give_up, wasaga.task_out_handled, wasaga.dead_letters_send, wasaga.from_base64,
    wasaga.length_check, wasaga.members_check, wasaga.headers_check, wasaga.message_bytes, wasaga.rollback_of,
    wasaga.cloud_event_headers, wasaga.task_out_emit, wasaga.emit, wasaga.emit_many, wasaga.accept from public;
