-- What any application may call in its own transaction; its role needs no more than `grant usage on schema wasaga`
-- and `grant execute` on the functions that it calls.

-- The id of the saga that a definition runs for a business key: as SagaId::derived makes it.
create function wasaga.saga_id(p_definition text, p_key text) returns uuid language sql immutable parallel safe as $$
    select encode(set_byte(set_byte(h, 6, get_byte(h, 6) & 15 | 128), 8, get_byte(h, 8) & 63 | 128), 'hex')::uuid
    from substr(sha256(decode('77617361676140008000736167616964', 'hex')
        || convert_to(octet_length(p_definition) || ':' || p_definition || p_key, 'UTF8')), 1, 16) as h
$$;

-- Starts a saga with the caller's own commit; a host takes it up within a sweep. A second start under one key answers
-- with the first saga's id; with another input it fails with 23505. Without a key each call starts a saga. The input
-- is checked against the definition's schema when the saga is taken up: one that does not fit ends `failed`.
create function wasaga.start_saga(
    p_definition text, p_key text, p_input jsonb, p_traceparent text default null
) returns uuid language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_id uuid := coalesce(wasaga.saga_id(p_definition, p_key), gen_random_uuid());
    v_version integer;
    v_grave wasaga.tombstones;
    v_is_new boolean;
    v_is_same boolean;
begin
    select (saga ->> 'version')::integer into v_version
    from wasaga.activations a join wasaga.modules m on m.digest = a.digest,
        jsonb_array_elements(m.manifest -> 'sagas') as saga
    where saga ->> 'name' = p_definition;
    if v_version is null then
        raise exception 'no active plugin defines saga "%"', p_definition
            using errcode = '22023', hint = 'GET /api/v1/plugins lists what is active';
    end if;
    if length(p_key) not between 1 and 500 then
        raise exception 'a business key must have 1 to 500 characters, and has %', length(p_key)
            using errcode = '22023';
    end if;
    if p_input is null then
        raise exception 'the input of saga "%" is null', p_definition
            using errcode = '22004', hint = 'pass jsonb, at least {}';
    end if;
    insert into wasaga.sagas (id, definition, version, business_key, nonce, traceparent, input_type, input, ready_at,
        epoch, status, state)
    values (v_id, p_definition, v_version, p_key,
        ('x' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 8))::bit(32)::bigint, p_traceparent,
        'application/json', convert_to(p_input::text, 'UTF8'), now(), 0, 'pending', '{"course": "unopened"}')
    on conflict (id) do nothing;
    v_is_new := found;
    v_grave := wasaga.grave_of(v_id, v_is_new);
    v_is_same := case
        when v_grave.id is not null
            then v_grave.digest = wasaga.input_digest('application/json', convert_to(p_input::text, 'UTF8'))
        when not v_is_new
            then (select convert_from(input, 'UTF8')::jsonb = p_input from wasaga.sagas where id = v_id)
        else true end;
    if not v_is_same then
        raise exception 'saga % of "%" runs for the key "%" already, and with another input', v_id,
            p_definition, p_key using errcode = '23505',
            hint = 'start it with the same input to be answered with its id, or under another key';
    end if;
    return v_id;
end $$;

-- Sends a saga a signal with the caller's own commit; answers with the saga's id. The payload may be 'null', but no
-- SQL null.
create function wasaga.signal_saga(p_saga uuid, p_name text, p_payload jsonb) returns uuid
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_status text;
begin
    if coalesce(length(p_name), 0) not between 1 and 1000 then
        raise exception 'a signal''s name must have 1 to 1000 characters, and has %', coalesce(length(p_name), 0)
            using errcode = '22023';
    end if;
    if p_payload is null then
        raise exception 'the payload of signal "%" is null', p_name
            using errcode = '22004', hint = 'pass jsonb, at least ''null''';
    end if;
    if wasaga.post(p_saga, 'signal', p_name, jsonb_build_object('content_type', 'application/json',
            'data', translate(encode(convert_to(p_payload::text, 'UTF8'), 'base64'), E'\n', '')), false) is null then
        v_status := (select status from wasaga.sagas where id = p_saga
            union all select status from wasaga.tombstones where id = p_saga and until > now() limit 1);
        if v_status is null then
            raise exception 'there is no saga %', p_saga using errcode = '22023';
        end if;
        raise exception 'saga % is %, which is final: no signal reaches it', p_saga, v_status
            using errcode = '55000';
    end if;
    return p_saga;
end $$;

-- The same to the saga that the definition runs for this business key.
create function wasaga.signal_saga(p_definition text, p_key text, p_name text, p_payload jsonb) returns uuid
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    return wasaga.signal_saga(wasaga.saga_id(p_definition, p_key), p_name, p_payload);
end $$;
revoke all on function wasaga.saga_id(text, text), wasaga.start_saga(text, text, jsonb, text),
    wasaga.signal_saga(uuid, text, jsonb), wasaga.signal_saga(text, text, text, jsonb) from public;
