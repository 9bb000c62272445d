-- Finding sagas. What is indexed never changes on a step, so that a step stays one HOT update: `ended` changes with the
-- end, which gives up the lease anyway, and `needs_attention` where an operator is asked for. Each saga stands in one of
-- the first two indexes, which are read newest first.
alter table wasaga.sagas
    add column ended boolean not null
        generated always as (status in ('completed', 'compensated', 'failed')) stored,
    add column needs_attention boolean not null generated always as (status = 'needs_attention') stored;
create index sagas_live on wasaga.sagas (created_at, id) where not ended;
create index sagas_ended on wasaga.sagas (created_at, id) where ended;
create index sagas_attention on wasaga.sagas (created_at, id) where needs_attention;

-- Whether an input has all of these: [{path: [text, …], values: [json, …]}, …]. One that is not JSON has nothing.
create function wasaga.input_has(p_type text, p_input bytea, p_attributes jsonb) returns boolean
    language plpgsql stable as $$
declare
    v_input jsonb;
begin
    if split_part(p_type, ';', 1) !~ '^\s*application/(.*\+)?json\s*$' then
        return false;
    end if;
    v_input := convert_from(p_input, 'UTF8')::jsonb;
    return (select bool_and(coalesce(v_input #> array(select jsonb_array_elements_text(a -> 'path'))
            = any (array(select jsonb_array_elements(a -> 'values'))), false))
        from jsonb_array_elements(p_attributes) as a);
exception when data_exception or program_limit_exceeded then
    return false;
end $$;

-- Whether a saga works on a step of this name.
create function wasaga.works_on(p_definition text, p_version integer, p_state jsonb, p_step text) returns boolean
    language sql stable as $$
    select exists (
        select from wasaga.definitions d, jsonb_array_elements(p_state -> 'open') as open
        where d.name = p_definition and d.version = p_version
          and d.content #>> array['steps', open ->> 'step', 'name'] = p_step)
$$;

-- Sends one piece of mail to each of these sagas, in the order of their ids; answers with those it reached.
create function wasaga.post_all(p_sagas uuid[], p_kind text, p_content jsonb, p_turns_back boolean)
    returns setof uuid language plpgsql as $$
begin
    perform from wasaga.sagas where id = any (p_sagas) order by id for no key update;
    return query select s.id from unnest(p_sagas) as s (id)
        where wasaga.post(s.id, p_kind, null, p_content, p_turns_back) is not null;
end $$;
