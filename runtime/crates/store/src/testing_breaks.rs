//! Rules of the database that `cargo xtask breaks` breaks at run time, by `WASAGA_BREAK`, to show that tests notice.

use std::env;

use sqlx::AssertSqlSafe;

use crate::Store;

/// A broken rule: its name, and the SQL that breaks it.
const BREAKS: [(&str, &str); 5] = [
    // A host that lost its lease commits all the same.
    (
        "fencing",
        "do $$ declare
             source text := pg_get_functiondef('wasaga.sagas_commit'::regproc);
             fence text := 's.host_id = p_host and s.epoch = a.epoch and';
         begin
             assert strpos(source, fence) > 0, 'the fence is not where it was';
             execute replace(source, fence, '');
         end $$",
    ),
    // Records are stored, and where consumption resumes is not.
    (
        "deduplication",
        "create function wasaga.stay() returns trigger language plpgsql as $$ begin
             new.next := old.next;
             return new;
         end $$;
         create trigger stay before update on wasaga.next_offsets for each row execute function wasaga.stay()",
    ),
    // A message that comes before its wait is not kept.
    (
        "early-reply",
        "create function wasaga.forget() returns trigger language plpgsql as $$ begin
             return null;
         end $$;
         create trigger forget before insert on wasaga.waits for each row when (new.saga_id is null)
             execute function wasaga.forget()",
    ),
    // A message is read although its key rests.
    (
        "resting-key",
        "do $$ declare
             source text := pg_get_functiondef('wasaga.task_out_waiting'::regproc);
             rests text := '(t.topic, t.key) not in (select * from unnest(p_not_key_topics, p_not_keys))';
         begin
             assert strpos(source, rests) > 0, 'what leaves keys out is not where it was';
             execute replace(source, rests, 'true');
         end $$",
    ),
    // An emit takes its id before its transaction can be known to be open.
    (
        "late-commit",
        "create or replace function wasaga.task_out_next_id() returns bigint language sql volatile
             return nextval('wasaga.task_out_id_seq')",
    ),
];

/// Breaks the rule that `WASAGA_BREAK` names, where it is one of the database's.
pub(crate) async fn install(store: &Store) {
    let Ok(name) = env::var("WASAGA_BREAK") else { return };
    if let Some((_, sql)) = BREAKS.iter().find(|(rule, _)| *rule == name) {
        let broken = sqlx::raw_sql(AssertSqlSafe((*sql).to_owned())).execute(&store.pool).await;
        broken.unwrap_or_else(|error| panic!("{name} does not break: {error}"));
    }
}
