-- What the checks read, put as they ask for it. Made in the transaction of a check, and gone with it.

create schema checked;

-- The steps of every definition; `after` as it is meant where it is not written.
create view checked.steps as
select d.name as definition, d.version, s.step ->> 'name' as step,
    coalesce(s.step -> 'after', case when s.place > 1 then jsonb_build_array(d.content -> 'steps'
        -> (s.place - 2)::integer ->> 'name') else '[]' end) as after,
    coalesce((s.step ->> 'guarded')::boolean, false) as guarded,
    coalesce((s.step ->> 'pivot')::boolean, false) as pivot,
    s.step -> 'compensation' ? 'undo' as undoes,
    coalesce(s.step #>> '{compensation,undo,on_failure}' = 'go_on', false) as goes_on
from wasaga.definitions d, jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, place);

-- The ends of attempts, and of their parts.
create view checked.attempts as
select j.* from wasaga.journal j
where j.step is not null and j.kind in ('succeeded', 'skipped', 'waiting', 'retrying', 'failed');

-- What became of each step of each saga, by numbers and times of the journal; null: that has not happened.
create view checked.runs as
with told as (
    select s.id as saga_id, s.status, d.*,
        min(a.number) filter (where a.direction = 'forward') as began,
        min(a.started_at) filter (where a.direction = 'forward') as began_at,
        min(a.number) filter (where a.direction = 'undo') as undo_began,
        min(a.started_at) filter (where a.direction = 'undo') as undo_began_at
    from wasaga.sagas s
    join checked.steps d on d.definition = s.definition and d.version = s.version
    left join checked.attempts a on a.saga_id = s.id and a.step = d.step
    group by s.id, d.definition, d.version, d.step, d.after, d.guarded, d.pivot, d.undoes, d.goes_on
)
select t.*, passed.number as passed, passed.at as passed_at, passed.kind as passed_as,
    undone.number as undone, undone.at as undone_at, undone.kind as undone_as
from told t
left join lateral (
    select number, at, kind from wasaga.journal j
    where j.saga_id = t.saga_id and j.step = t.step and j.direction = 'forward'
      and j.kind in ('succeeded', 'skipped', 'passed_over')
    order by number limit 1
) passed on true
left join lateral (
    select number, at, kind from wasaga.journal j
    where j.saga_id = t.saga_id and j.step = t.step and j.direction = 'undo'
      and (j.kind in ('succeeded', 'passed_over') or (j.kind = 'failed' and t.goes_on))
    order by number limit 1
) undone on true;

-- Steps that had an effect, or may have had one: when each was opened, was done (null: nobody knows) and undone.
create view checked.effects as
select r.*, case when r.passed_as = 'succeeded' or r.undo_began is not null then r.passed end as did,
    (select coalesce(max(p.passed), 0) from checked.runs p
        where p.saga_id = r.saga_id and r.after ? p.step) as opened
from checked.runs r
where r.passed_as = 'succeeded' or r.undo_began is not null;

-- What is told of each saga's life.
create view checked.told as
select s.id as saga_id, d.plugin, d.content ->> 'lifecycle_topic' as topic, t.number,
    format('%s/%s/%s', s.id, lpad(to_hex(s.nonce), 8, '0'), t.number) as event_id
from wasaga.sagas s
join wasaga.definitions d on d.name = s.definition and d.version = s.version
join lateral (
    select 0 as number where s.sequence > 0
    union all
    select number from wasaga.journal j
    where j.saga_id = s.id and (j.kind in ('completed', 'saga_failed', 'compensated', 'needs_attention')
        or (j.kind = 'succeeded' and j.step is not null) or (j.kind = 'failed' and j.direction = 'forward'))
) t on true;

-- Messages of sagas, and where they were first read.
create view checked.published as
select o.id, o.saga_id, o.topic, o.key, i.cluster, i.partition, min(i."offset") as "offset"
from wasaga.task_out o
join wasaga.task_in i on i.topic = o.topic and i.message_id = o.message_id::text
where o.saga_id is not null
group by o.id, i.cluster, i.partition;
