-- Ended sagas are moved out of the way of running ones, or dropped. The archive is partitioned by the month (UTC) of the
-- end, so that what is too old goes with its tables.

create table wasaga.archived_sagas (
    id uuid not null,
    definition text not null,
    version integer not null,
    business_key text,
    parent_id uuid,
    nonce bigint not null,
    traceparent text,
    input_type text not null,
    input bytea not null,
    created_at timestamptz not null,
    ended_at timestamptz not null,
    sequence integer not null,
    status text not null,
    state jsonb not null,
    -- a business key may have been used again
    primary key (id, ended_at)
) partition by range (ended_at);

create table wasaga.archived_journal (
    like wasaga.journal,
    ended_at timestamptz not null,
    primary key (saga_id, ended_at, number)
) partition by range (ended_at);

create table wasaga.archived_mail (
    like wasaga.mail,
    ended_at timestamptz not null,
    primary key (saga_id, ended_at, number)
) partition by range (ended_at);

-- How far the walk through the ended sagas has come, and when it goes on. Whoever has the row locked is the one host
-- that removes.
create table wasaga.retention (
    created_at timestamptz not null default '-infinity',
    id uuid not null default '00000000-0000-0000-0000-000000000000',
    next_at timestamptz not null default now()
);
insert into wasaga.retention default values;
create unique index retention_is_one_row on wasaga.retention ((true));

-- The archive's partitions for sagas that ended at this time.
create function wasaga.archive_month(p_at timestamptz) returns void language plpgsql as $$
declare
    v_month timestamp := date_trunc('month', p_at at time zone 'UTC');
    v_table text;
    v_partition text;
begin
    foreach v_table in array array['archived_sagas', 'archived_journal', 'archived_mail'] loop
        v_partition := v_table || to_char(v_month, '_YYYY_MM');
        if to_regclass('wasaga.' || v_partition) is null then
            execute format('create table wasaga.%I partition of wasaga.%I for values from (%L) to (%L)', v_partition,
                v_table, v_month at time zone 'UTC', (v_month + interval '1 month') at time zone 'UTC');
        end if;
    end loop;
end $$;

-- Drops the months of the archive whose sagas all ended longer ago than this; answers with how many.
create function wasaga.archive_drop(p_keep_ms bigint) returns integer
    language plpgsql set lock_timeout = '2s' as $$
declare
    v_month text;
    v_dropped integer := 0;
begin
    for v_month in
        select right(c.relname, 7) from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'wasaga.archived_sagas'::regclass
          and (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC'
              <= now() - p_keep_ms * interval '1 millisecond'
    loop
        execute format('drop table wasaga.%I, wasaga.%I, wasaga.%I', 'archived_sagas_' || v_month,
            'archived_journal_' || v_month, 'archived_mail_' || v_month);
        v_dropped := v_dropped + 1;
    end loop;
    return v_dropped;
end $$;

-- Removes up to p_batch sagas that ended longer ago than p_keep_ms, those that were started first before others, and
-- leaves tombstones of them. It looks at no more than twenty times as many, and goes on there the next time. Answers
-- with how many it removed, how long to wait before the next call, and whether the walk is over. Whoever calls too
-- early, or beside another host, removes nothing: however many hosts call, a quarter of the time is spent here.
create function wasaga.sagas_retire(
    p_keep_ms bigint, p_archive boolean, p_batch integer, p_tombstones_ms bigint, p_every_ms bigint,
    out removed integer, out wait_ms bigint, out is_over boolean
) language plpgsql set lock_timeout = '2s' as $$
declare
    v_begun timestamptz := clock_timestamp();
    v_before timestamptz := now() - p_keep_ms * interval '1 millisecond';
    v_walk wasaga.retention;
    v_looked integer := 0;
    v_expired integer;
    v_ids uuid[] := '{}';
    s record;
begin
    removed := 0;
    is_over := false;
    select * into v_walk from wasaga.retention for update skip locked;
    if not found or v_walk.next_at > v_begun then
        wait_ms := least(p_every_ms, coalesce(wasaga.millis(v_walk.next_at) - wasaga.millis(v_begun), 1000) + 1);
        return;
    end if;

    -- An ended saga changes no more: it was updated when it ended, and started before that.
    for s in
        select e.id, e.created_at, e.updated_at from wasaga.sagas e
        where e.ended and e.created_at < v_before and (e.created_at, e.id) > (v_walk.created_at, v_walk.id)
        order by e.created_at, e.id limit 20 * p_batch
    loop
        v_looked := v_looked + 1;
        v_walk.created_at := s.created_at;
        v_walk.id := s.id;
        if s.updated_at < v_before then
            v_ids := v_ids || s.id;
            exit when cardinality(v_ids) = p_batch;
        end if;
    end loop;
    -- A parent that was not told yet still waits for the end.
    v_ids := array(select e.id from wasaga.sagas e
        where e.id = any (v_ids) and not exists (select from wasaga.children c where c.child_id = e.id)
        for update skip locked);

    if p_archive and cardinality(v_ids) > 0 then
        perform wasaga.archive_month(ended_at)
        from (select distinct date_trunc('month', updated_at, 'UTC') as ended_at
            from wasaga.sagas where id = any (v_ids)) months;
        insert into wasaga.archived_sagas (id, definition, version, business_key, parent_id, nonce, traceparent,
            input_type, input, created_at, ended_at, sequence, status, state)
        select e.id, e.definition, e.version, e.business_key, e.parent_id, e.nonce, e.traceparent, e.input_type, e.input,
            e.created_at, e.updated_at, e.sequence, e.status, e.state
        from wasaga.sagas e where e.id = any (v_ids);
        insert into wasaga.archived_journal
        select j.*, e.updated_at from wasaga.journal j join wasaga.sagas e on e.id = j.saga_id where e.id = any (v_ids);
        insert into wasaga.archived_mail
        select m.*, e.updated_at from wasaga.mail m join wasaga.sagas e on e.id = m.saga_id where e.id = any (v_ids);
    end if;
    insert into wasaga.tombstones (id, definition, business_key, status, ended_at, digest, ending, until)
    select e.id, e.definition, e.business_key, e.status, e.updated_at, wasaga.input_digest(e.input_type, e.input),
        wasaga.ending(e.id, e.status, e.state), now() + p_tombstones_ms * interval '1 millisecond'
    from wasaga.sagas e where e.id = any (v_ids)
    on conflict (id) do update set status = excluded.status, ended_at = excluded.ended_at, digest = excluded.digest,
        ending = excluded.ending, until = excluded.until;
    delete from wasaga.journal where saga_id = any (v_ids);
    delete from wasaga.mail where saga_id = any (v_ids);
    delete from wasaga.http_record where saga_id = any (v_ids);
    delete from wasaga.waits where saga_id = any (v_ids);
    delete from wasaga.timers where saga_id = any (v_ids);
    delete from wasaga.sagas where id = any (v_ids);
    removed := cardinality(v_ids);

    delete from wasaga.tombstones where id in (
        select id from wasaga.tombstones where until <= now() order by until limit p_batch);
    get diagnostics v_expired = row_count;

    is_over := v_looked < 20 * p_batch and removed < p_batch and v_expired < p_batch;
    if is_over then
        wait_ms := p_every_ms;
        v_walk.created_at := '-infinity';
    else
        wait_ms := 1 + 3 * (wasaga.millis(clock_timestamp()) - wasaga.millis(v_begun));
    end if;
    update wasaga.retention set created_at = v_walk.created_at, id = v_walk.id,
        next_at = clock_timestamp() + wait_ms * interval '1 millisecond';
end $$;
