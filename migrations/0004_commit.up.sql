-- The one commit. It is a function so that it costs one round trip, and so that a guest's own transaction,
-- which runs under the plugin's role, can end with it without any right on the tables.

-- Adds messages to the outbox in the order given; ids are taken here, within the emitting transaction.
create function wasaga.outbox_add(
    p_saga_ids uuid[], p_idempotency_keys text[], p_traceparents text[], p_topics text[], p_keys bytea[],
    p_headers jsonb[], p_values bytea[], p_rollbacks jsonb[]
) returns void language sql as $$
    insert into wasaga.task_out (saga_id, idempotency_key, traceparent, topic, key, headers, value, rollback)
    select o.saga_id, o.idempotency_key, o.traceparent, o.topic, o.key, o.headers, o.value, o.rollback
    from unnest(p_saga_ids, p_idempotency_keys, p_traceparents, p_topics, p_keys, p_headers, p_values, p_rollbacks)
        with ordinality as o (saga_id, idempotency_key, traceparent, topic, key, headers, value, rollback, n)
    order by o.n
$$;

-- Commits transitions of many sagas. Each stands or falls by itself; the answer has a row for each:
--   committed     it is done; `mail` is the saga's last piece of mail
--   mail          it wanted to settle (park or end), but there is mail it has not seen: nothing was changed
--   lost          the lease, or the expected sequence, is another's: nothing was changed
-- A wait that finds its message already there keeps the lease: the message is mail now (`mail` tells).
create function wasaga.sagas_commit(
    p_host bigint,
    -- one element a transition
    p_ids uuid[], p_epochs bigint[], p_sequences integer[], p_next_sequences integer[], p_statuses text[],
    p_versions integer[], p_states jsonb[], p_settles boolean[], p_seen bigint[], p_due_ms bigint[], p_clears boolean[],
    -- one element a journal entry; t is its transition's place from 1
    j_t integer[], j_numbers integer[], j_kinds text[], j_steps text[], j_directions text[], j_attempts integer[],
    j_started bigint[], j_at bigint[], j_output_types text[], j_outputs bytea[], j_undo_types text[],
    j_undos bytea[], j_memo_types text[], j_memos bytea[], j_errors jsonb[], j_digests bytea[], j_by text[],
    -- one element a wait
    w_t integer[], w_topics text[], w_correlations text[], w_steps smallint[],
    -- one element a message
    o_t integer[], o_idempotency_keys text[], o_topics text[], o_keys bytea[], o_headers jsonb[],
    o_values bytea[], o_rollbacks jsonb[],
    -- null where there is none: see starts_add, posts_add and hooks_add
    p_starts jsonb, p_posts jsonb, p_hooks jsonb
) returns table (t integer, result text, mail bigint) language plpgsql as $$
#variable_conflict use_column
declare
    v_mail bigint[];
    v_seen_ok boolean[];
    v_ok boolean[];
    v_early integer[];
    v_ended uuid[] := array(select a.id from unnest(p_ids, p_statuses) as a (id, status)
        where a.status in ('completed', 'compensated', 'failed'));
    v_told uuid[] := '{}';
begin
    if cardinality(v_ended) > 0 then
        v_told := array(select distinct c.parent_id from wasaga.children c where c.child_id = any (v_ended));
    end if;
    if p_starts is not null or p_posts is not null or cardinality(v_told) > 0 then
        perform wasaga.others_lock(p_ids || v_told, p_starts, p_posts);
    end if;

    -- All saga rows, in the order of their ids: whoever else locks several does so too.
    with locked as materialized (
        select a.n, s.mail
        from unnest(p_ids, p_epochs, p_sequences) with ordinality as a (id, epoch, sequence, n)
        join wasaga.sagas s on s.id = a.id
        where s.host_id = p_host and s.epoch = a.epoch and s.sequence = a.sequence
        order by s.id for no key update of s
    )
    select array_agg(l.mail order by a.n), array_agg(l.mail is not null and (not a.settles or l.mail = a.seen) order by a.n)
    into v_mail, v_ok
    from unnest(p_settles, p_seen) with ordinality as a (settles, seen, n)
    left join locked l on l.n = a.n;

    with advanced as (
        update wasaga.sagas s
        set sequence = a.next_sequence, status = a.status, state = a.state, updated_at = now(),
            version = coalesce(a.version, s.version),
            interruptions = 0, host_id = case when a.settles then null else s.host_id end
        from unnest(p_ids, p_next_sequences, p_statuses, p_versions, p_states, p_settles)
            with ordinality as a (id, next_sequence, status, version, state, settles, n)
        where s.id = a.id and v_ok[a.n]
    )
    insert into wasaga.journal (saga_id, number, kind, step, direction, attempt, started_at, at, output_type,
        output, undo_type, undo, memo_type, memo, error, digest, by)
    select p_ids[j.t], j.number, j.kind, j.step, j.direction, j.attempt, wasaga.at(j.started), wasaga.at(j.at),
        j.output_type, j.output, j.undo_type, j.undo, j.memo_type, j.memo, j.error, j.digest, j.by
    from unnest(j_t, j_numbers, j_kinds, j_steps, j_directions, j_attempts, j_started, j_at, j_output_types,
        j_outputs, j_undo_types, j_undos, j_memo_types, j_memos, j_errors, j_digests, j_by)
        as j (t, number, kind, step, direction, attempt, started, at, output_type, output, undo_type, undo,
            memo_type, memo, error, digest, by)
    where v_ok[j.t];

    if true = any (p_clears) then
        delete from wasaga.timers where saga_id in (
            select a.id from unnest(p_ids, p_clears) with ordinality as a (id, clears, n)
            where a.clears and v_ok[a.n]);
        delete from wasaga.waits where saga_id in (
            select a.id from unnest(p_ids, p_clears) with ordinality as a (id, clears, n)
            where a.clears and v_ok[a.n]);
    end if;

    if cardinality(o_t) > 0 then
        perform wasaga.outbox_add(array_agg(p_ids[o.t] order by o.n), array_agg(o.idempotency_key order by o.n),
            array_agg(s.traceparent order by o.n), array_agg(o.topic order by o.n), array_agg(o.key order by o.n),
            array_agg(o.headers order by o.n), array_agg(o.value order by o.n), array_agg(o.rollback order by o.n))
        from unnest(o_t, o_idempotency_keys, o_topics, o_keys, o_headers, o_values, o_rollbacks)
            with ordinality as o (t, idempotency_key, topic, key, headers, value, rollback, n)
        join wasaga.sagas s on s.id = p_ids[o.t]
        where v_ok[o.t];
    end if;

    if cardinality(w_t) > 0 then
        v_early := wasaga.waits_register(v_ok, p_ids, w_t, w_topics, w_correlations, w_steps);
        if cardinality(v_early) > 0 then
            update wasaga.sagas s set mail = s.mail + 1, host_id = p_host
            from unnest(v_early) as e (t) where s.id = p_ids[e.t];
            v_mail := (select array_agg(case when m.n = any (v_early) then m.mail + 1 else m.mail end order by m.n)
                from unnest(v_mail) with ordinality as m (mail, n));
        end if;
    end if;

    insert into wasaga.timers as timers (saga_id, due_at)
    select a.id, clock_timestamp() + a.due_ms * interval '1 millisecond'
    from unnest(p_ids, p_due_ms) with ordinality as a (id, due_ms, n)
    where a.due_ms is not null and v_ok[a.n] and not a.n = any (coalesce(v_early, '{}'))
    on conflict (saga_id) do update set due_at = excluded.due_at;

    if p_starts is not null then
        perform wasaga.starts_add(v_ok, p_ids, p_starts);
    end if;
    if p_posts is not null then
        perform wasaga.posts_add(v_ok, p_posts);
    end if;
    if p_hooks is not null then
        perform wasaga.hooks_add(v_ok, p_ids, p_hooks);
    end if;
    if cardinality(v_ended) > 0 then
        perform wasaga.ends_tell(array(select id from unnest(v_ended) as e (id)
            where v_ok[array_position(p_ids, id)]), v_told);
    end if;

    return query
    select a.n::integer,
        case when v_ok[a.n] then 'committed' when v_mail[a.n] is not null then 'mail' else 'lost' end,
        coalesce(v_mail[a.n], 0)
    from unnest(p_ids) with ordinality as a (id, n);
end $$;

-- Locks, in the order of their ids, what a commit changes besides its own sagas.
create function wasaga.others_lock(p_ids uuid[], p_starts jsonb, p_posts jsonb) returns void language sql as $$
    select from wasaga.sagas s
    where s.id in (select unnest(p_ids)
        union select (jsonb_path_query(p_starts, '$[*].id') #>> '{}')::uuid
        union select (jsonb_path_query(p_posts, '$[*].saga') #>> '{}')::uuid)
    order by s.id for no key update
$$;

-- Starts sagas that nobody holds yet, each where p_ok: {t, id, definition, version, business_key, nonce, traceparent,
-- input_type, input (base64), state, child}; with `child` it belongs to p_parents[t], which is told of its end. One
-- that was started before, or is gone and has a tombstone, must have the same input.
create function wasaga.starts_add(p_ok boolean[], p_parents uuid[], p_starts jsonb) returns void
    language plpgsql as $$
declare
    s record;
    row wasaga.sagas;
    grave wasaga.tombstones;
    is_same boolean;
begin
    for s in
        select * from jsonb_to_recordset(p_starts) as n (t integer, id uuid, definition text, version integer,
            business_key text, nonce bigint, traceparent text, input_type text, input text, state jsonb, child text)
        where p_ok[n.t] order by n.id
    loop
        insert into wasaga.sagas (id, definition, version, business_key, parent_id, nonce, traceparent, input_type,
            input, ready_at, epoch, status, state)
        values (s.id, s.definition, s.version, s.business_key,
            case when s.child is not null then p_parents[s.t] end, s.nonce, s.traceparent, s.input_type,
            decode(s.input, 'base64'), now(), 0, 'pending', s.state)
        on conflict (id) do nothing;
        grave := wasaga.grave_of(s.id, found);
        if grave.id is null then
            select * into row from wasaga.sagas where id = s.id for no key update;
            is_same := row.input = decode(s.input, 'base64');
        else
            is_same := grave.digest = wasaga.input_digest(s.input_type, decode(s.input, 'base64'));
        end if;
        if not is_same then
            raise exception 'saga % of % runs for the key % already, and with another input', s.id, s.definition,
                s.business_key using errcode = '23505';
        end if;
        if s.child is not null and grave.id is not null then
            perform wasaga.post(p_parents[s.t], 'child', null, grave.ending, false);
        elsif s.child is not null then
            insert into wasaga.children (child_id, parent_id) values (s.id, p_parents[s.t]) on conflict do nothing;
            if row.status in ('completed', 'compensated', 'failed') then
                perform wasaga.ends_tell(array[s.id], p_parents);
            end if;
        end if;
    end loop;
end $$;

-- The tombstone of a saga that a start has just inserted (p_new), or found: the insert may have waited for its removal.
-- What was inserted is taken back.
create function wasaga.grave_of(p_id uuid, p_new boolean) returns wasaga.tombstones language plpgsql as $$
declare
    grave wasaga.tombstones;
begin
    select * into grave from wasaga.tombstones where id = p_id and until > now();
    if found and p_new then
        delete from wasaga.sagas where id = p_id;
    elsif not found and not p_new and not exists (select from wasaga.sagas where id = p_id) then
        raise exception 'saga % went while it was started again', p_id using errcode = '40001';
    end if;
    return grave;
end $$;

-- The same ids, unless one of them has a tombstone that its start did not see.
create function wasaga.ungraved(p_ids uuid[]) returns setof uuid language plpgsql as $$
begin
    if exists (select from wasaga.tombstones where id = any (p_ids) and until > now()) then
        raise exception 'a saga went while it was started again' using errcode = '40001';
    end if;
    return query select unnest(p_ids);
end $$;

-- Sends mail to sagas, each where p_ok: {t, saga, kind, name, content, turns_back}.
create function wasaga.posts_add(p_ok boolean[], p_posts jsonb) returns void language plpgsql as $$
begin
    perform wasaga.post(p.saga, p.kind, p.name, p.content, coalesce(p.turns_back, false))
    from rows from (jsonb_to_recordset(p_posts)
            as (t integer, saga uuid, kind text, name text, content jsonb, turns_back boolean))
        with ordinality as p (t, saga, kind, name, content, turns_back, n)
    where p_ok[p.t] order by p.saga, p.n;
end $$;

-- Sends one piece of mail and wakes its saga; answers with its status, or with nothing where the mail can't reach it:
-- it has ended, there is none, or p_turns_back and it is past its pivot.
create function wasaga.post(p_saga uuid, p_kind text, p_name text, p_content jsonb, p_turns_back boolean)
    returns text language sql as $$
    with saga as (
        update wasaga.sagas set mail = mail + 1,
            ready_at = case when host_id is null then coalesce(ready_at, now()) end
        where id = p_saga and status not in ('completed', 'compensated', 'failed')
          and not (p_turns_back and state ? 'pivoted')
        returning id, mail, status
    ), posted as (
        insert into wasaga.mail (saga_id, number, kind, correlation, content)
        select id, mail, p_kind, p_name, p_content from saga
    )
    select status from saga
$$;

-- What plugins hear of their sagas' lives, as in tasks, in order by saga, each where p_ok: {t, plugin, number, value}.
create function wasaga.hooks_add(p_ok boolean[], p_ids uuid[], p_hooks jsonb) returns void language sql as $$
    insert into wasaga.task_in (lane, cluster, topic, partition, "offset", key, value)
    select abs(hashtext(p_ids[h.t]::text)::bigint) % (select count(*) from wasaga.lanes where flow = 'in'), '',
        'wasaga:lifecycle:' || h.plugin, 0, h.number, convert_to(p_ids[h.t]::text, 'UTF8'),
        convert_to(h.value::text, 'UTF8')
    from jsonb_to_recordset(p_hooks) as h (t integer, plugin text, number integer, value jsonb)
    where p_ok[h.t] order by h.t, h.number
$$;

-- What a parent is told of the end of a saga.
create function wasaga.ending(p_id uuid, p_status text, p_state jsonb) returns jsonb language sql stable as $$
    select jsonb_strip_nulls(jsonb_build_object('saga', p_id, 'status', p_status,
        'error', coalesce(p_state #> '{course,compensated}', p_state #> '{course,failed}'),
        'output', (select jsonb_build_object('content_type', j.output_type,
                'data', translate(encode(j.output, 'base64'), E'\n', ''))
            from wasaga.journal j
            where p_status = 'completed' and j.saga_id = p_id and j.kind = 'succeeded' and j.output is not null
            order by j.number desc limit 1)))
$$;

-- Tells the parents of sagas that have ended, all of whom are locked (p_locked) or were not there a moment ago.
create function wasaga.ends_tell(p_ended uuid[], p_locked uuid[]) returns void language plpgsql as $$
declare
    c record;
begin
    for c in
        select k.parent_id, s.id, s.status, s.state from wasaga.children k join wasaga.sagas s on s.id = k.child_id
        where k.child_id = any (p_ended) order by k.parent_id, s.id
    loop
        if not c.parent_id = any (p_locked) then
            raise exception 'a parent came meanwhile' using errcode = '40001';
        end if;
        perform wasaga.post(c.parent_id, 'child', null, wasaga.ending(c.id, c.status, c.state), false);
        delete from wasaga.children where child_id = c.id and parent_id = c.parent_id;
    end loop;
end $$;

-- Registers waits in the order of their keys, each where v_ok. A message that came early ends its saga's wait at
-- once: it becomes mail, numbered after the saga's last. Answers with the transitions whose wait was met so.
create function wasaga.waits_register(
    p_ok boolean[], p_ids uuid[], w_t integer[], w_topics text[], w_correlations text[], w_steps smallint[]
) returns integer[] language plpgsql as $$
declare
    w record;
    met integer[] := '{}';
    row wasaga.waits;
begin
    for w in
        select * from unnest(w_t, w_topics, w_correlations, w_steps) as u (t, topic, correlation, step)
        where p_ok[u.t] order by u.topic, u.correlation
    loop
        insert into wasaga.waits as waits (topic, correlation, saga_id, step)
        values (w.topic, w.correlation, p_ids[w.t], w.step)
        on conflict (topic, correlation) do update
        set saga_id = case when cardinality(waits.arrived_keys) = 0
                then coalesce(waits.saga_id, excluded.saga_id) end,
            step = case when cardinality(waits.arrived_keys) = 0 then coalesce(waits.step, excluded.step) end
        returning * into row;
        if row.saga_id <> p_ids[w.t] then
            raise exception 'saga % waits for % on topic % already: correlation keys must differ',
                row.saga_id, w.correlation, w.topic using errcode = '23505';
        end if;
        if cardinality(row.arrived_keys) > 0 and not w.t = any (met) then
            met := met || w.t;
            insert into wasaga.mail (saga_id, number, kind, step, correlation, topic, key, headers, value)
            select s.id, s.mail + 1, 'reply', w.step, w.correlation, w.topic,
                row.arrived_keys[1], row.arrived_headers[1], row.arrived_values[1]
            from wasaga.sagas s where s.id = p_ids[w.t];
            if cardinality(row.arrived_keys) = 1 then
                delete from wasaga.waits where topic = w.topic and correlation = w.correlation;
            else
                update wasaga.waits set arrived_keys = arrived_keys[2:], arrived_headers = arrived_headers[2:],
                    arrived_values = arrived_values[2:]
                where topic = w.topic and correlation = w.correlation;
            end if;
        end if;
    end loop;
    -- Whoever was met waits no more.
    delete from wasaga.waits where saga_id in (select p_ids[t] from unnest(met) as m (t));
    return met;
end $$;

-- Hands messages to the sagas that wait for them, in the order given; what nobody waits for is kept for p_ttl_ms,
-- as long as there is not too much of it for one key. Answers with the sagas that were woken. Fails with 40001 when
-- a wait was registered meanwhile: do it again.
create function wasaga.replies_deliver(
    p_topics text[], p_correlations text[], p_keys bytea[], p_headers jsonb[], p_values bytea[], p_ttl_ms bigint
) returns uuid[] language plpgsql as $$
declare
    r record;
    row wasaga.waits;
    locked uuid[];
    woken uuid[] := '{}';
begin
    -- Saga rows before waits, as the commit locks them.
    locked := array(
        select s.id from wasaga.sagas s
        where s.id in (select w.saga_id from wasaga.waits w
            where (w.topic, w.correlation) in (select * from unnest(p_topics, p_correlations)))
        order by s.id for no key update);
    for r in
        select * from unnest(p_topics, p_correlations, p_keys, p_headers, p_values)
            with ordinality as u (topic, correlation, key, headers, value, n)
        order by u.topic, u.correlation, u.n
    loop
        insert into wasaga.waits as waits (topic, correlation, arrived_keys, arrived_headers, arrived_values, expires_at)
        values (r.topic, r.correlation, array[r.key], array[r.headers], array[r.value],
            now() + p_ttl_ms * interval '1 millisecond')
        on conflict (topic, correlation) do update
        set arrived_keys = case when waits.saga_id is null then waits.arrived_keys || excluded.arrived_keys
                else waits.arrived_keys end,
            arrived_headers = case when waits.saga_id is null then waits.arrived_headers || excluded.arrived_headers
                else waits.arrived_headers end,
            arrived_values = case when waits.saga_id is null then waits.arrived_values || excluded.arrived_values
                else waits.arrived_values end,
            expires_at = case when waits.saga_id is null
                then coalesce(waits.expires_at, excluded.expires_at) end
        returning * into row;
        if row.saga_id is not null then
            if not row.saga_id = any (locked) then
                raise exception 'a wait was registered meanwhile' using errcode = '40001';
            end if;
            with woke as (
                update wasaga.sagas s set mail = s.mail + 1,
                    ready_at = case when s.host_id is null then coalesce(s.ready_at, now()) end
                where s.id = row.saga_id and s.status not in ('completed', 'compensated', 'failed')
                returning s.id, s.mail
            )
            insert into wasaga.mail (saga_id, number, kind, step, correlation, topic, key, headers, value)
            select woke.id, woke.mail, 'reply', row.step, r.correlation, r.topic, r.key, r.headers, r.value from woke;
            woken := woken || row.saga_id;
            delete from wasaga.waits where topic = r.topic and correlation = r.correlation;
        elsif cardinality(row.arrived_keys) > 64 then
            raise exception '64 messages for % on topic % are kept, and nobody has waited for one yet',
                r.correlation, r.topic using errcode = '54000';
        end if;
    end loop;
    return woken;
end $$;

-- Ends attempts of tasks of one flow and adds their effects, if the lane's lease still is the caller's; answers with the
-- tasks that were changed. p_results: 'ready', 'wait' (again after p_due_ms), 'error' (given up). p_flow:
--   in                  wasaga.task_in
--   dead_in, dead_out   dead letters; what is given up stays open, for an operator
--   handle_out          wasaga.task_out, before it is published: its one effect is the message that is published in its
--                       place; without one it is done
create function wasaga.tasks_finish(
    p_flow text, p_host bigint,
    p_ids bigint[], p_lanes smallint[], p_epochs bigint[], p_results text[], p_attempts integer[],
    p_due_ms bigint[], p_errors jsonb[], p_digests bytea[],
    -- one element a message; t is its task's place from 1
    o_t integer[], o_idempotency_keys text[], o_topics text[], o_keys bytea[], o_headers jsonb[],
    o_values bytea[], o_rollbacks jsonb[],
    p_starts jsonb, p_posts jsonb
) returns setof bigint language plpgsql as $$
declare
    v_done bigint[];
begin
    perform from wasaga.lanes l where l.flow = p_flow and l.lane = any (p_lanes) order by l.lane for share;

    if p_flow = 'handle_out' then
        return query select wasaga.task_out_handled(p_host, p_ids, p_lanes, p_epochs, p_results, p_attempts, p_due_ms,
            p_errors, o_t, o_topics, o_keys, o_headers, o_values);
        return;
    elsif p_flow = 'in' then
        v_done := wasaga.task_in_end(p_host, p_ids, p_lanes, p_epochs, p_results, p_attempts, p_due_ms, p_errors,
            p_digests);
    else
        v_done := wasaga.dead_letters_handled(p_flow, p_host, p_ids, p_lanes, p_epochs, p_results, p_attempts, p_due_ms,
            p_errors, p_digests);
    end if;

    if p_flow = 'dead_out' then
        perform wasaga.dead_letters_send(p_ids, v_done, o_t, o_idempotency_keys, o_topics, o_keys, o_headers, o_values,
            o_rollbacks);
    elsif cardinality(o_t) > 0 then
        perform wasaga.outbox_add(array_agg(null::uuid), array_agg(o.idempotency_key order by o.n),
            array_agg(null::text), array_agg(o.topic order by o.n), array_agg(o.key order by o.n),
            array_agg(o.headers order by o.n), array_agg(o.value order by o.n), array_agg(o.rollback order by o.n))
        from unnest(o_t, o_idempotency_keys, o_topics, o_keys, o_headers, o_values, o_rollbacks)
            with ordinality as o (t, idempotency_key, topic, key, headers, value, rollback, n)
        where p_ids[o.t] = any (v_done);
    end if;

    if p_starts is not null or p_posts is not null then
        perform wasaga.others_lock('{}', p_starts, p_posts);
        perform wasaga.starts_add(v_ok, null, p_starts), wasaga.posts_add(v_ok, p_posts)
        from (select array_agg(id = any (v_done) order by n) as v_ok
            from unnest(p_ids) with ordinality as u (id, n)) ended;
    end if;

    return query select unnest(v_done);
end $$;

create function wasaga.task_in_end(
    p_host bigint, p_ids bigint[], p_lanes smallint[], p_epochs bigint[], p_results text[], p_attempts integer[],
    p_due_ms bigint[], p_errors jsonb[], p_digests bytea[]
) returns bigint[] language plpgsql as $$
declare
    v_done bigint[];
begin
    with finished as (
        update wasaga.task_in task
        set status = a.result, attempts = a.attempts, error = a.error, digest = a.digest,
            interruptions = case when a.attempts > task.attempts then 0 else task.interruptions end,
            due_at = now() + coalesce(a.due_ms, 0) * interval '1 millisecond',
            finished_at = case when a.result = 'ready' then now() end
        from unnest(p_ids, p_lanes, p_epochs, p_results, p_attempts, p_due_ms, p_errors, p_digests)
            as a (id, lane, epoch, result, attempts, due_ms, error, digest)
        join wasaga.lanes l on l.flow = 'in' and l.lane = a.lane and l.epoch = a.epoch and l.host_id = p_host
        where task.id = a.id and task.status in ('wait', 'work')
        returning task.*
    ), dead as (
        insert into wasaga.dead_letter_in (task_id, lane, reason, attempts, cluster, topic, partition, "offset", key,
            headers, value, produced_at)
        select f.id, f.lane, f.error, f.attempts, f.cluster, f.topic, f.partition, f."offset", f.key, f.headers, f.value,
            f.produced_at
        from finished f where f.status = 'error'
    )
    select coalesce(array_agg(f.id), '{}') into v_done from finished f;
    return v_done;
end $$;

create function wasaga.dead_letters_handled(
    p_flow text, p_host bigint, p_ids bigint[], p_lanes smallint[], p_epochs bigint[], p_results text[],
    p_attempts integer[], p_due_ms bigint[], p_errors jsonb[], p_digests bytea[]
) returns bigint[] language plpgsql as $$
declare
    v_done bigint[];
begin
    execute format($sql$
        with finished as (
            update wasaga.%I letter
            set status = a.result, ending = case when a.result = 'ready' then 'handled' end,
                finished_at = case when a.result = 'ready' then now() end,
                handling_attempts = a.attempts, handling_error = a.error, digest = a.digest,
                interruptions = case when a.attempts > letter.handling_attempts then 0 else letter.interruptions end,
                due_at = now() + coalesce(a.due_ms, 0) * interval '1 millisecond'
            from unnest($3, $4, $5, $6, $7, $8, $9, $10)
                as a (id, lane, epoch, result, attempts, due_ms, error, digest)
            join wasaga.lanes l on l.flow = $1 and l.lane = a.lane and l.epoch = a.epoch and l.host_id = $2
            where letter.id = a.id and letter.lane = a.lane and letter.status in ('wait', 'work')
            returning letter.id
        )
        select coalesce(array_agg(id), '{}') from finished
    $sql$, replace(p_flow, 'dead_', 'dead_letter_'))
    into v_done
    using p_flow, p_host, p_ids, p_lanes, p_epochs, p_results, p_attempts, p_due_ms, p_errors, p_digests;
    return v_done;
end $$;

-- Ends a guest's transaction. The guest's role may call it, but does not know the token.
create function wasaga_guest.check_token(p_token bytea) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from wasaga.secrets where name = 'commit' and value = p_token) then
        raise exception 'only the host may commit' using errcode = '42501';
    end if;
end $$;
revoke all on function wasaga_guest.check_token(bytea) from public;

create function wasaga_guest.sagas_commit(
    p_token bytea, p_host bigint,
    p_ids uuid[], p_epochs bigint[], p_sequences integer[], p_next_sequences integer[], p_statuses text[],
    p_versions integer[], p_states jsonb[], p_settles boolean[], p_seen bigint[], p_due_ms bigint[], p_clears boolean[],
    j_t integer[], j_numbers integer[], j_kinds text[], j_steps text[], j_directions text[], j_attempts integer[],
    j_started bigint[], j_at bigint[], j_output_types text[], j_outputs bytea[], j_undo_types text[],
    j_undos bytea[], j_memo_types text[], j_memos bytea[], j_errors jsonb[], j_digests bytea[], j_by text[],
    w_t integer[], w_topics text[], w_correlations text[], w_steps smallint[],
    o_t integer[], o_idempotency_keys text[], o_topics text[], o_keys bytea[], o_headers jsonb[],
    o_values bytea[], o_rollbacks jsonb[],
    p_starts jsonb, p_posts jsonb, p_hooks jsonb
) returns table (t integer, result text, mail bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    perform wasaga_guest.check_token(p_token);
    return query select * from wasaga.sagas_commit(p_host, p_ids, p_epochs, p_sequences, p_next_sequences,
        p_statuses, p_versions, p_states, p_settles, p_seen, p_due_ms, p_clears, j_t, j_numbers, j_kinds, j_steps,
        j_directions, j_attempts, j_started, j_at, j_output_types, j_outputs, j_undo_types, j_undos,
        j_memo_types, j_memos, j_errors, j_digests, j_by, w_t, w_topics, w_correlations, w_steps, o_t,
        o_idempotency_keys, o_topics, o_keys, o_headers, o_values, o_rollbacks, p_starts, p_posts, p_hooks);
end $$;

create function wasaga_guest.tasks_finish(
    p_token bytea, p_flow text, p_host bigint,
    p_ids bigint[], p_lanes smallint[], p_epochs bigint[], p_results text[], p_attempts integer[],
    p_due_ms bigint[], p_errors jsonb[], p_digests bytea[],
    o_t integer[], o_idempotency_keys text[], o_topics text[], o_keys bytea[], o_headers jsonb[],
    o_values bytea[], o_rollbacks jsonb[],
    p_starts jsonb, p_posts jsonb
) returns setof bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    perform wasaga_guest.check_token(p_token);
    return query select * from wasaga.tasks_finish(p_flow, p_host, p_ids, p_lanes, p_epochs, p_results, p_attempts,
        p_due_ms, p_errors, p_digests, o_t, o_idempotency_keys, o_topics, o_keys, o_headers, o_values, o_rollbacks,
        p_starts, p_posts);
end $$;
