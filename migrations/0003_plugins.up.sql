-- Modules and which of them are active, definitions, and the roles under which guests run SQL.

create table wasaga.modules (
    digest bytea primary key check (length(digest) = 32),
    plugin text not null,
    version text not null,
    manifest jsonb not null,
    bytes bytea not null,
    created_at timestamptz not null default now()
);
alter table wasaga.modules alter column bytes set storage external;

-- By minisign, where a module came with one; it is there before its module is.
create table wasaga.module_signatures (
    digest bytea primary key check (length(digest) = 32),
    signature text not null
);

create sequence wasaga.generations;

create table wasaga.activations (
    plugin text primary key,
    digest bytea not null references wasaga.modules,
    generation bigint not null default nextval('wasaga.generations'),
    activated_at timestamptz not null default now()
);

-- A definition (name, version) never changes its content.
create table wasaga.definitions (
    name text not null,
    version integer not null check (version > 0),
    plugin text not null,
    content jsonb not null,
    digest bytea not null references wasaga.modules,
    created_at timestamptz not null default now(),
    primary key (name, version)
);

create table wasaga.plugin_roles (
    plugin text primary key,
    role text not null unique,
    schema text not null unique,
    password text not null,
    created_at timestamptz not null default now()
);

create table wasaga.plugin_migrations (
    plugin text not null,
    version integer not null check (version > 0),
    name text not null,
    checksum bytea not null check (length(checksum) = 32),
    applied_at timestamptz not null default now(),
    primary key (plugin, version)
);

-- The token with which a host commits on a guest's connection. Guests can't read it.
create table wasaga.secrets (
    name text primary key,
    value bytea not null check (length(value) >= 32)
);
insert into wasaga.secrets (name, value)
values ('commit', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

-- Topics whose messages go through a plugin before they are published: those with ids past from_id. What was emitted before
-- the topic was named may be in the relay's hand by then, and goes out as it is. Until from_id is set (see
-- handled_topics_begin), nobody takes any of the topic's messages.
create table wasaga.handled_topics (
    topic text primary key,
    from_id bigint
);

create function wasaga.handled_topics_follow() returns trigger language plpgsql as $$
begin
    -- Waits for other activations, and for whoever is committing what a plugin made of a message.
    lock table wasaga.handled_topics in exclusive mode;
    with named as materialized (
        select distinct jsonb_array_elements_text(m.manifest -> 'out_topics') as topic
        from wasaga.activations a join wasaga.modules m on m.digest = a.digest
    ), gone as (
        delete from wasaga.handled_topics where topic not in (select topic from named)
    )
    insert into wasaga.handled_topics (topic) select topic from named on conflict (topic) do nothing;
    return null;
end $$;
create trigger handled_topics_follow after insert or update or delete on wasaga.activations
    for each statement execute function wasaga.handled_topics_follow();

-- Sets from_id of topics that are newly named to the last id taken. Whatever a read shows that began before the activation
-- was committed has an id up to that one, as this row is seen only afterwards.
create function wasaga.handled_topics_begin() returns void language sql as $$
    update wasaga.handled_topics
    set from_id = (select last_value - (not is_called)::int from wasaga.task_out_id_seq)
    where from_id is null
$$;
