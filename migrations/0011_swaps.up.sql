-- Who changed which module of a plugin runs what, when and why; and canaries, with what their calls came to. All of it
-- is written under the lock on wasaga.activations.

-- The module that undoes what the active one did; absent: the active one itself.
alter table wasaga.activations add column undo_digest bytea references wasaga.modules;

-- Append-only.
create table wasaga.activation_history (
    id bigint generated always as identity primary key,
    plugin text not null,
    what text not null check (what in ('pushed', 'activated', 'rolled_back', 'canary_started', 'canary_promoted',
        'canary_ended', 'canary_rolled_back', 'undo_taken_over', 'undo_ended')),
    digest bytea not null references wasaga.modules,
    -- what was active before
    previous bytea,
    by text,
    reason text not null,
    -- sagas in flight needed steps that it lacks
    forced boolean not null default false,
    -- what a canary was ended for
    figures jsonb,
    at timestamptz not null default clock_timestamp()
);
create index activation_history_plugin on wasaga.activation_history (plugin, id);
create index activation_history_digest on wasaga.activation_history (digest);

create function wasaga.activation_history_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'wasaga.activation_history is append-only' using errcode = '55000';
end $$;
create trigger activation_history_is_append_only before update or delete on wasaga.activation_history
    for each statement execute function wasaga.activation_history_is_append_only();

insert into wasaga.activation_history (plugin, what, digest, by, reason, at)
select plugin, 'activated', digest, 'wasaga', 'it was active before its history was kept', activated_at
from wasaga.activations order by generation;

create table wasaga.canaries (
    plugin text primary key,
    id bigint not null generated always as identity unique,
    digest bytea not null references wasaga.modules,
    percent integer not null check (percent between 1 and 99),
    max_error_percent double precision not null check (max_error_percent between 0 and 100),
    min_calls bigint not null check (min_calls > 0),
    window_ms bigint not null check (window_ms > 0),
    started_at timestamptz not null default clock_timestamp()
);

-- A row whenever a host has counted some calls, of both sides.
create table wasaga.canary_calls (
    canary bigint not null,
    at timestamptz not null default clock_timestamp(),
    calls bigint not null,
    failures bigint not null,
    active_calls bigint not null,
    active_failures bigint not null
);
create index canary_calls_at on wasaga.canary_calls (canary, at);

-- What the calls of a canary's window came to.
create function wasaga.canary_plan(p_canary wasaga.canaries) returns jsonb language sql immutable as $$
    select jsonb_build_object('percent', (p_canary).percent, 'max_error_percent', (p_canary).max_error_percent,
        'min_calls', (p_canary).min_calls, 'window_ms', (p_canary).window_ms)
$$;

create function wasaga.canary_figures(p_canary wasaga.canaries) returns jsonb language sql volatile as $$
    select jsonb_build_object('calls', coalesce(sum(calls), 0), 'failures', coalesce(sum(failures), 0),
        'active_calls', coalesce(sum(active_calls), 0), 'active_failures', coalesce(sum(active_failures), 0))
    from wasaga.canary_calls
    where canary = (p_canary).id and at > clock_timestamp() - (p_canary).window_ms * interval '1 millisecond'
$$;

-- Ends the plugin's canary, if it has one. The caller holds the lock on wasaga.activations.
create function wasaga.canary_end(p_plugin text, p_what text, p_by text, p_reason text, p_figures jsonb)
    returns boolean language plpgsql as $$
declare
    v_canary wasaga.canaries;
begin
    delete from wasaga.canaries where plugin = p_plugin returning * into v_canary;
    if not found then
        return false;
    end if;
    insert into wasaga.activation_history (plugin, what, digest, previous, by, reason, figures)
    values (p_plugin, p_what, v_canary.digest, (select digest from wasaga.activations where plugin = p_plugin), p_by,
        p_reason, coalesce(p_figures, wasaga.canary_figures(v_canary)));
    delete from wasaga.canary_calls where canary = v_canary.id;
    update wasaga.activations set generation = nextval('wasaga.generations') where plugin = p_plugin;
    return true;
end $$;

-- Adds what a host has counted of a canary's calls, and ends the canary where too many of them failed: then the answer
-- is why.
create function wasaga.canary_count(p_plugin text, p_canary bigint, p_calls bigint, p_failures bigint,
    p_active_calls bigint, p_active_failures bigint) returns text language plpgsql as $$
declare
    v_canary wasaga.canaries;
    v_figures jsonb;
    v_calls bigint;
    v_failures bigint;
    v_why text;
begin
    lock table wasaga.activations in share row exclusive mode;
    select * into v_canary from wasaga.canaries where plugin = p_plugin and id = p_canary;
    if not found then
        return null;
    end if;
    delete from wasaga.canary_calls
    where canary = p_canary and at <= clock_timestamp() - v_canary.window_ms * interval '1 millisecond';
    insert into wasaga.canary_calls (canary, calls, failures, active_calls, active_failures)
    values (p_canary, p_calls, p_failures, p_active_calls, p_active_failures);
    v_figures := wasaga.canary_figures(v_canary);
    v_calls := v_figures -> 'calls';
    v_failures := v_figures -> 'failures';
    if v_calls < v_canary.min_calls or v_failures * 100 <= v_canary.max_error_percent * v_calls then
        return null;
    end if;
    v_why := format('%s of its %s calls failed, which is more than %s %%; of the active module''s %s calls %s did',
        v_failures, v_calls, v_canary.max_error_percent, v_figures -> 'active_calls', v_figures -> 'active_failures');
    perform wasaga.canary_end(p_plugin, 'canary_rolled_back', 'wasaga', v_why, v_figures);
    return v_why;
end $$;

-- The steps of a plugin that a saga in flight may still call, p_undo: may still undo. Sagas that keep their modules, and
-- steps whose module an operator chose, need none of another one.
create function wasaga.steps_needed(p_plugin text, p_owner text, p_content jsonb, p_state jsonb, p_undo boolean)
    returns text[] language sql immutable as $$
    select coalesce(array_agg(name order by place), '{}')
    from (
        select step ->> 'name' as name, place,
            coalesce(p_state -> 'open' @> jsonb_build_array(jsonb_build_object('step', place - 1)), false) as is_open,
            jsonb_path_exists(p_state, '$.open[*] ? (@.step == $n && exists(@.module))',
                jsonb_build_object('n', place - 1), true) as is_chosen,
            coalesce(p_state -> 'skipped' @> to_jsonb(place - 1), false) as is_skipped,
            coalesce(p_state -> 'done' @> to_jsonb(place - 1), false) as is_done,
            coalesce(step ->> 'compensation', 'none') <> 'none'
                and not coalesce((p_state -> 'pivoted')::boolean, false)
                and not coalesce(p_state -> 'undone' @> to_jsonb(place - 1), false)
                and not coalesce(p_state -> 'leftovers' @> to_jsonb(place - 1), false) as may_undo,
            coalesce(p_state ->> 'course' in ('unopened', 'forward'), false) as goes_forward
        from jsonb_array_elements(p_content -> 'steps') with ordinality as t (step, place)
        where coalesce(step ->> 'worker', p_owner) = p_plugin
    ) as steps
    where not coalesce(p_state -> 'pins' ? p_plugin, false)
      and not is_chosen
      and case
          when is_open then may_undo or not p_undo
          when is_skipped then false
          when is_done then may_undo
          else goes_forward and (may_undo or not p_undo)
      end
$$;
