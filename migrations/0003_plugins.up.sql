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

-- Topics whose messages go through a plugin before they are published.
create function wasaga.out_topics() returns text[] language sql stable as $$
    select array(select jsonb_array_elements_text(m.manifest -> 'out_topics')
        from wasaga.activations a join wasaga.modules m on m.digest = a.digest)
$$;
