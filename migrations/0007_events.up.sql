-- Event-sourced aggregates of plugins. A plugin is known by the role that its connection is logged in as, so that one
-- with `sql`, which may call the functions of wasaga_guest too, reaches no streams but its own. The names of checks are
-- sentences for the guest.

alter table wasaga.plugin_roles add column event_store boolean not null default false;

create table wasaga.events (
    plugin text not null,
    stream_id text not null
        constraint "a stream's id has 1 to 500 characters" check (length(stream_id) between 1 and 500),
    version bigint not null check (version > 0),
    event_type text not null
        constraint "an event's type has 1 to 200 characters" check (length(event_type) between 1 and 200),
    content_type text not null
        constraint "a content type has at most 200 characters" check (length(content_type) <= 200),
    payload bytea not null
        constraint "an event has at most 1048576 bytes" check (octet_length(payload) <= 1048576),
    saga_id uuid,
    created_at timestamptz not null default now(),
    primary key (plugin, stream_id, version)
);

-- The last one of each stream.
create table wasaga.snapshots (
    plugin text not null,
    stream_id text not null,
    version bigint not null,
    content_type text not null
        constraint "a content type has at most 200 characters" check (length(content_type) <= 200),
    state bytea not null
        constraint "a snapshot has at most 1048576 bytes" check (octet_length(state) <= 1048576),
    created_at timestamptz not null default now(),
    primary key (plugin, stream_id)
);

-- Whose connection this is.
create function wasaga.event_plugin() returns text language plpgsql as $$
declare
    v_plugin text := (select plugin from wasaga.plugin_roles where role = session_user and event_store);
begin
    if v_plugin is null then
        raise exception 'role % is not granted the event store', session_user using errcode = '42501';
    end if;
    return v_plugin;
end $$;

create function wasaga.stream_version(p_plugin text, p_stream text) returns bigint language sql as $$
    select coalesce(max(version), 0) from wasaga.events where plugin = p_plugin and stream_id = p_stream
$$;

-- The stream's snapshot, without an event type, and the events after it.
create function wasaga.stream_tail(p_plugin text, p_stream text)
    returns table (version bigint, event_type text, content_type text, data bytea) language sql as $$
    with snapshot as (select * from wasaga.snapshots where plugin = p_plugin and stream_id = p_stream)
    select s.version, null, s.content_type, s.state from snapshot s
    union all
    select e.version, e.event_type, e.content_type, e.payload from wasaga.events e
    where e.plugin = p_plugin and e.stream_id = p_stream
      and e.version > coalesce((select s.version from snapshot s), 0)
    order by 1
$$;

create function wasaga_guest.events_load(p_stream text)
    returns table (version bigint, event_type text, content_type text, data bytea)
    language sql security definer set search_path = pg_catalog, pg_temp as $$
    select * from wasaga.stream_tail(wasaga.event_plugin(), p_stream)
$$;

-- Appends to a stream that is at p_expected. Otherwise, or where there is a rule against it (`refused`), the
-- transaction goes on without them; `version` is the stream's in any case. Whoever appends to the same stream waits
-- for the first one's commit, at the key of its first event. What comes after a snapshot stays small enough to be
-- loaded at once.
create function wasaga_guest.events_append(
    p_stream text, p_expected bigint, p_types text[], p_content_types text[], p_payloads bytea[], p_saga uuid,
    out appended boolean, out version bigint, out refused text
) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    v_plugin text := wasaga.event_plugin();
begin
    appended := false;
    version := wasaga.stream_version(v_plugin, p_stream);
    if version <> p_expected then
        return;
    end if;
    begin
        insert into wasaga.events (plugin, stream_id, version, event_type, content_type, payload, saga_id)
        select v_plugin, p_stream, p_expected + e.n, e.event_type, e.content_type, e.payload, p_saga
        from unnest(p_types, p_content_types, p_payloads) with ordinality as e (event_type, content_type, payload, n);
        if (select count(*) > 10000
                or sum(octet_length(t.data) + octet_length(t.event_type) + octet_length(t.content_type)) > 4194304
            from wasaga.stream_tail(v_plugin, p_stream) t where t.event_type is not null) then
            raise check_violation using constraint = 'at most 10000 events and 4194304 bytes come after a snapshot';
        end if;
        appended := true;
        version := p_expected + cardinality(p_types);
    exception
        when unique_violation then
            version := wasaga.stream_version(v_plugin, p_stream);
        when check_violation then
            get stacked diagnostics refused = constraint_name;
    end;
end $$;

-- Keeps a snapshot in the place of an earlier one. Answers with the rule that is against it.
create function wasaga_guest.snapshot_save(p_stream text, p_version bigint, p_content_type text, p_state bytea)
    returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_plugin text := wasaga.event_plugin();
    v_version bigint := wasaga.stream_version(v_plugin, p_stream);
    v_refused text;
begin
    if p_version not between 1 and v_version then
        return format('a snapshot of version %s, and the stream is at %s', p_version, v_version);
    end if;
    insert into wasaga.snapshots as kept (plugin, stream_id, version, content_type, state)
    values (v_plugin, p_stream, p_version, p_content_type, p_state)
    on conflict (plugin, stream_id) do update
    set version = excluded.version, content_type = excluded.content_type, state = excluded.state, created_at = now()
    where kept.version < excluded.version;
    return null;
exception when check_violation then
    get stacked diagnostics v_refused = constraint_name;
    return v_refused;
end $$;
