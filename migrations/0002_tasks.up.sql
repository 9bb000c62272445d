-- The task flows: messages on their way in and out, what gave up, and who works on which lane.

-- A flow's lanes are leased to hosts; a lane is hash(topic, partition, key) for 'in', and one for 'out', and for what goes
-- through a plugin before it is published. Dead letters have no order among them: their lanes only share them out.
create table wasaga.lanes (
    flow text not null check (flow in ('in', 'out', 'dead_in', 'dead_out', 'handle_out')),
    lane smallint not null check (lane >= 0),
    host_id bigint,
    epoch bigint not null default 0,
    primary key (flow, lane)
);
insert into wasaga.lanes (flow, lane)
    select flow, generate_series(0, 15) from unnest(array['in', 'dead_in', 'dead_out']) as flow;
insert into wasaga.lanes (flow, lane) values ('out', 0), ('handle_out', 0);

-- The life of a task, as gosaga has it; one that was given up has finished when its dead letter has: wait (to be done, from due_at), work (taken by a worker), ready (done),
-- error (given up: its dead letter is written), rollback (given up, its rollback message is on its way),
-- error_rollback_none (given up, and there was no rollback message). A domain, as Postgres keeps its check: one of the table is read
-- anew by each insert, which would be a third of what an emit takes.
create domain wasaga.task_status as text
    check (value in ('wait', 'work', 'ready', 'error', 'rollback', 'error_rollback_none'));
create domain wasaga.attempts as integer check (value >= 0);

create table wasaga.task_in (
    id bigint generated always as identity primary key,
    lane smallint not null,
    status wasaga.task_status not null default 'wait',
    attempts wasaga.attempts not null default 0,
    interruptions smallint not null default 0 check (interruptions >= 0),
    due_at timestamptz not null default now(),
    cluster text not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    key bytea,
    headers jsonb not null default '[]',
    value bytea,
    message_id text,
    produced_at timestamptz,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    error jsonb,
    digest bytea,
    check (status <> 'ready' or finished_at is not null)
) with (fillfactor = 80);
create index task_in_waiting on wasaga.task_in (id) include (lane, topic) where status in ('wait', 'work');
-- A message that comes again, as a sender may publish it twice, is known for as long as its task.
create unique index task_in_message on wasaga.task_in (topic, message_id) where message_id is not null;
create index task_in_finished on wasaga.task_in (finished_at) where finished_at is not null;

-- The first p_limit tasks of these lanes that wait past p_after, by id; due_ms is in how many milliseconds their next attempt is.
--
-- Always along an index in the order of ids: how many of the tasks wait changes faster than Postgres counts them, and by
-- counts of a quiet time it would sort all of a backlog for each read.
create function wasaga.task_in_find(p_lanes smallint[], p_after bigint, p_limit bigint)
    returns table (id bigint, lane smallint, topic text, "partition" integer, key bytea, attempts integer, due_ms bigint)
    language plpgsql stable
    set enable_bitmapscan = off set enable_seqscan = off set enable_sort = off set jit = off as $$
begin
    return query select t.id, t.lane, t.topic, t.partition, t.key, t.attempts::integer,
        greatest(0, ceil(extract(epoch from t.due_at - clock_timestamp()) * 1000))::bigint
    from wasaga.task_in t
    where t.lane = any (p_lanes) and t.status in ('wait', 'work') and t.id > p_after
    order by t.id limit p_limit;
end $$;

create sequence wasaga.task_out_id_seq;

-- A transaction has its number before it takes an id: so it can be known which ids are still to appear.
create function wasaga.task_out_next_id() returns bigint language sql volatile
    return case when pg_current_xact_id() is not null then nextval('wasaga.task_out_id_seq') end;

-- `handled`: the plugin that takes part in its topic, if there is one, has seen it. `handling_attempts`: how often a plugin was
-- called for the dead letters in whose place it is sent.
create table wasaga.task_out (
    id bigint primary key default wasaga.task_out_next_id(),
    status wasaga.task_status not null default 'wait',
    attempts wasaga.attempts not null default 0,
    due_at timestamptz not null default now(),
    handled boolean not null default false,
    handling_attempts integer not null default 0,
    message_id uuid not null default gen_random_uuid(),
    saga_id uuid,
    idempotency_key text,
    traceparent text,
    topic text not null,
    key bytea,
    headers jsonb not null default '[]',
    value bytea,
    rollback jsonb,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    error jsonb,
    check (status <> 'ready' or finished_at is not null)
) with (fillfactor = 80);
create index task_out_waiting on wasaga.task_out (id) where status in ('wait', 'work');
create index task_out_finished on wasaga.task_out (finished_at) where finished_at is not null;

-- Dead letters: tasks that were given up. A letter is open until finished_at: wait (for a plugin that handles dead letters
-- of its topic, or an operator), work (the plugin is called), error (the plugin gave it up: it waits for an operator).
-- Then it is ready, `ending` tells how, and it never changes again. `original` is what it was before its first edit; `handled`
-- says of what is on its way out that handle-out made it what it is.
create table wasaga.dead_letter_in (
    id bigint generated always as identity primary key,
    task_id bigint not null,
    lane smallint not null default 0,
    status text not null default 'wait' check (status in ('wait', 'work', 'ready', 'error')),
    ending text check (ending in ('handled', 'redriven', 'discarded')),
    reason jsonb not null,
    attempts integer not null,
    cluster text not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    key bytea,
    headers jsonb not null,
    value bytea,
    produced_at timestamptz,
    original jsonb,
    -- of the plugin that handles it
    handling_attempts integer not null default 0 check (handling_attempts >= 0),
    handling_error jsonb,
    interruptions smallint not null default 0 check (interruptions >= 0),
    due_at timestamptz not null default now(),
    digest bytea,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    check ((status = 'ready') = (finished_at is not null)),
    check ((status = 'ready') = (ending is not null))
);
create index dead_letter_in_open on wasaga.dead_letter_in (id) where finished_at is null;
create index dead_letter_in_waiting on wasaga.dead_letter_in (lane, id) where status in ('wait', 'work');
create index dead_letter_in_topic on wasaga.dead_letter_in (topic, id) where status in ('wait', 'work');
create index dead_letter_in_finished on wasaga.dead_letter_in (finished_at) where finished_at is not null;

create table wasaga.dead_letter_out (
    id bigint generated always as identity primary key,
    task_id bigint not null,
    lane smallint not null generated always as ((id % 16)::smallint) stored,
    status text not null default 'wait' check (status in ('wait', 'work', 'ready', 'error')),
    ending text check (ending in ('handled', 'redriven', 'discarded')),
    reason jsonb not null,
    attempts integer not null,
    max_attempts integer,
    message_id uuid not null,
    saga_id uuid,
    idempotency_key text,
    traceparent text,
    aggregate_id text,
    event_type text,
    topic text not null,
    key bytea,
    headers jsonb not null,
    value bytea,
    rollback jsonb,
    handled boolean not null default false,
    original jsonb,
    -- of the plugin that handles it
    handling_attempts integer not null default 0 check (handling_attempts >= 0),
    handling_error jsonb,
    interruptions smallint not null default 0 check (interruptions >= 0),
    due_at timestamptz not null default now(),
    digest bytea,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    check ((status = 'ready') = (finished_at is not null)),
    check ((status = 'ready') = (ending is not null))
);
create index dead_letter_out_open on wasaga.dead_letter_out (id) where finished_at is null;
create index dead_letter_out_waiting on wasaga.dead_letter_out (lane, id) where status in ('wait', 'work');
create index dead_letter_out_topic on wasaga.dead_letter_out (topic, id) where status in ('wait', 'work');
create index dead_letter_out_finished on wasaga.dead_letter_out (finished_at) where finished_at is not null;

-- A task that was given up is kept until its dead letter has ended: so long its message is known when it comes again.
create function wasaga.dead_letter_ended() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'dead_letter_in' then
        update wasaga.task_in set finished_at = new.finished_at where id = new.task_id;
    else
        update wasaga.task_out set finished_at = new.finished_at where id = new.task_id;
    end if;
    return null;
end $$;
create trigger dead_letter_in_ended after update on wasaga.dead_letter_in
    for each row when (old.finished_at is null and new.finished_at is not null)
    execute function wasaga.dead_letter_ended();
create trigger dead_letter_out_ended after update on wasaga.dead_letter_out
    for each row when (old.finished_at is null and new.finished_at is not null)
    execute function wasaga.dead_letter_ended();

-- What operators did to dead letters; numbers grow. task_id: the new task of a redrive.
create table wasaga.dead_letter_verbs (
    flow text not null check (flow in ('in', 'out')),
    letter_id bigint not null,
    number bigint not null generated always as identity,
    verb text not null check (verb in ('edit', 'redrive', 'discard')),
    by text,
    reason text not null,
    task_id bigint,
    at timestamptz not null default now(),
    primary key (flow, letter_id, number)
);

-- Where consumption resumes: stored with the tasks themselves, by compare-and-set.
create table wasaga.next_offsets (
    cluster text not null,
    topic text not null,
    partition integer not null,
    next bigint not null check (next >= 0),
    updated_at timestamptz not null default now(),
    primary key (cluster, topic, partition)
);
