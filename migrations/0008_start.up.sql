-- What any application may call in its own transaction; its role needs no more than `grant usage on schema wasaga`
-- and `grant execute on function wasaga.start_saga`.

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
    v_input bytea;
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
    if not found then
        select input into v_input from wasaga.sagas where id = v_id;
        if convert_from(v_input, 'UTF8')::jsonb <> p_input then
            raise exception 'saga % of "%" runs for the key "%" already, and with another input', v_id,
                p_definition, p_key using errcode = '23505',
                hint = 'start it with the same input to be answered with its id, or under another key';
        end if;
    end if;
    return v_id;
end $$;
revoke all on function wasaga.saga_id(text, text), wasaga.start_saga(text, text, jsonb, text) from public;
