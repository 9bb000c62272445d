-- Sagas, their journal, mail, waits and timers, and the hosts that hold the leases.

create schema if not exists wasaga;

-- What guests may call: nothing but the commit of their own transaction, which needs the host's token.
create schema wasaga_guest;

create function wasaga.millis(at timestamptz) returns bigint
    language sql immutable parallel safe
    return (extract(epoch from at) * 1000)::bigint;

create function wasaga.at(ms bigint) returns timestamptz
    language sql immutable parallel safe
    return to_timestamp(ms / 1000.0);

-- One row a life of a host process. All leases of a host end when its row does.
create table wasaga.hosts (
    id bigint generated always as identity primary key,
    name text not null,
    version text not null,
    -- Takes its share of sagas and in tasks; false of a relay that runs without a host.
    works boolean not null default true,
    started_at timestamptz not null default now(),
    lease_until timestamptz not null
);

-- How many of p_waiting sagas a host takes at once, and at most p_limit: all where they are few (a host works them off
-- before another one would look), else no more than are left for it when every host takes as many.
create function wasaga.hosts_share(p_limit bigint, p_waiting bigint) returns bigint language sql stable as $$
    select case when p_waiting <= 128 then p_limit
        else least(p_limit, greatest(128, p_waiting / (select greatest(1, count(*)) from wasaga.hosts
            where works and lease_until > now()))) end
$$;

-- The changing columns stand together, and none but those of the lease is indexed: a step is one HOT update.
create table wasaga.sagas (
    id uuid primary key,
    definition text not null,
    version integer not null check (version > 0),
    business_key text,
    parent_id uuid,
    nonce bigint not null check (nonce between 0 and 4294967295),
    traceparent text,
    input_type text not null,
    input bytea not null,
    created_at timestamptz not null default now(),
    host_id bigint,
    ready_at timestamptz,
    epoch bigint not null check (epoch >= 0),
    interruptions smallint not null default 0 check (interruptions >= 0),
    mail bigint not null default 0 check (mail >= 0),
    sequence integer not null default 0 check (sequence >= 0),
    updated_at timestamptz not null default now(),
    status text not null check (status in ('pending', 'running', 'waiting', 'paused', 'compensating',
        'completed', 'compensated', 'failed', 'needs_attention')),
    state jsonb not null,
    constraint sagas_ready_is_unleased check (ready_at is null or host_id is null),
    constraint sagas_final_is_unleased check (
        status not in ('completed', 'compensated', 'failed') or (host_id is null and ready_at is null))
) with (fillfactor = 60);
create index sagas_ready on wasaga.sagas (ready_at) where ready_at is not null;
create index sagas_leased on wasaga.sagas (host_id) where host_id is not null;

-- Append-only. `number` runs from 1 within its saga.
create table wasaga.journal (
    saga_id uuid not null,
    number integer not null check (number > 0),
    kind text not null check (kind in ('succeeded', 'skipped', 'waiting', 'retrying', 'failed', 'interrupted',
        'late_message', 'cancelled', 'resumed', 'paused', 'passed_over', 'undo_supplied', 'resolved', 'migrated',
        'declined', 'undoing', 'needs_attention', 'completed', 'compensated', 'saga_failed')),
    step text,
    direction text not null check (direction in ('forward', 'undo')),
    attempt integer not null check (attempt >= 0),
    started_at timestamptz not null,
    at timestamptz not null,
    output_type text,
    output bytea,
    undo_type text,
    undo bytea,
    memo_type text,
    memo bytea,
    error jsonb,
    digest bytea check (length(digest) = 32),
    by text,
    primary key (saga_id, number),
    check ((output is null) = (output_type is null)),
    check ((undo is null) = (undo_type is null)),
    check ((memo is null) = (memo_type is null))
);

create function wasaga.journal_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'wasaga.journal is append-only' using errcode = '55000';
end $$;
create trigger journal_is_append_only before update on wasaga.journal
    for each statement execute function wasaga.journal_is_append_only();

-- What has been done, how to undo it, and whether it has been undone.
create view wasaga.ledger as
select done.saga_id, done.number, done.step, done.attempt, done.output_type, done.output, done.undo_type,
    done.undo, done.digest, done.at,
    exists (select from wasaga.journal undone
        where undone.saga_id = done.saga_id and undone.step = done.step
          and undone.direction = 'undo' and undone.kind = 'succeeded') as undone
from wasaga.journal done
where done.direction = 'forward' and done.kind = 'succeeded';

-- What arrives for a saga from outside its lease. Append-only; sagas.mail is the last number.
create table wasaga.mail (
    saga_id uuid not null,
    number bigint not null check (number > 0),
    kind text not null check (kind in ('reply', 'signal', 'child', 'verb')),
    -- a reply's correlation key, a signal's name
    correlation text,
    -- a reply's message, and the step that waited for it
    step smallint,
    topic text,
    key bytea,
    headers jsonb,
    value bytea,
    -- what a signal carries; how a child ended; what an operator asks for
    content jsonb,
    created_at timestamptz not null default now(),
    primary key (saga_id, number)
);

-- What requests of a step's calls came to, for replays, of plugins of which that is asked. A call is named by the
-- idempotency key of its requests.
create table wasaga.http_record (
    saga_id uuid not null,
    key text not null,
    attempt integer not null check (attempt > 0),
    -- the request's place in its call, from 1
    number integer not null check (number > 0),
    method text not null,
    url text not null,
    body bytea,
    status integer,
    headers jsonb not null default '[]',
    answer bytea,
    -- why there is no answer
    error text check (error in ('not-sent', 'maybe-sent', 'too-large')),
    detail text,
    at timestamptz not null default now(),
    primary key (saga_id, key, attempt, number),
    check ((status is null) <> (error is null))
);

-- Where a wait and a message meet: one row a (topic, correlation), with either who waits or what came early.
create table wasaga.waits (
    topic text not null,
    correlation text not null,
    saga_id uuid,
    step smallint,
    arrived_keys bytea[] not null default '{}',
    arrived_headers jsonb[] not null default '{}',
    arrived_values bytea[] not null default '{}',
    expires_at timestamptz,
    primary key (topic, correlation),
    check ((saga_id is null) = (step is null)),
    check (cardinality(arrived_keys) = cardinality(arrived_headers)
       and cardinality(arrived_keys) = cardinality(arrived_values))
);
create index waits_saga on wasaga.waits (saga_id) where saga_id is not null;
create index waits_expiring on wasaga.waits (expires_at) where expires_at is not null;

-- Who is told when a saga ends.
create table wasaga.children (
    child_id uuid not null,
    parent_id uuid not null,
    primary key (child_id, parent_id)
);

-- When an unleased saga wants to go on by itself: only for waits and back-offs.
create table wasaga.timers (
    saga_id uuid primary key,
    due_at timestamptz not null
);
create index timers_due on wasaga.timers (due_at);

-- Sagas that are gone, as long as their ids are known: a start under the key of one is a second start.
create table wasaga.tombstones (
    id uuid primary key,
    definition text not null,
    business_key text,
    status text not null,
    ended_at timestamptz not null,
    -- of the input: see input_digest
    digest bytea not null,
    -- what a parent is told of its end
    ending jsonb not null,
    until timestamptz not null
);
create index tombstones_until on wasaga.tombstones (until);

-- The same for all inputs that are equal: as JSON where they are that, else byte by byte.
create function wasaga.input_digest(p_type text, p_input bytea) returns bytea language plpgsql immutable as $$
begin
    if split_part(p_type, ';', 1) ~ '^\s*application/(.*\+)?json\s*$' then
        return sha256(convert_to(convert_from(p_input, 'UTF8')::jsonb::text, 'UTF8'));
    end if;
    return sha256(p_input);
exception when data_exception or program_limit_exceeded then
    return sha256(p_input);
end $$;
