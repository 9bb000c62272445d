//! What a guest may not do, however it tries.

use wasaga_domain::ports::ModuleStore;

use crate::stage::{begin, code, module, one, task, with_plugin};

#[tokio::test]
async fn nothing_gets_out_of_the_role() {
    let db = with_plugin().await;
    db.store.activate(module("other", &["create table secrets (s text)"])).await.unwrap();
    let store = &db.store;
    for (statement, expected) in [
        ("set role wasaga", "25001"),
        ("set session authorization wasaga", "25001"),
        ("reset role", "25001"),
        ("reset session authorization", "25001"),
        ("reset all", "25001"),
        ("discard all", "25001"),
        ("select set_config('role', 'wasaga', true)", "42501"),
        ("select set_config('session_authorization', 'wasaga', true)", "42501"),
        ("do $$ begin reset role; perform 1 from wasaga.sagas; end $$", "42501"),
        ("do $$ begin reset session authorization; perform 1 from wasaga.sagas; end $$", "42501"),
        ("do $$ begin execute 'discard all'; end $$", "25001"),
        ("select * from wasaga.sagas", "42501"),
        ("select * from wasaga.secrets", "42501"),
        ("select wasaga.millis(now())", "42501"),
        ("select * from plugin_other.secrets", "42501"),
        ("select wasaga_guest.check_token('x')", "42501"),
        ("select wasaga.start_saga('order', '1', '{}')", "42501"),
        ("select wasaga.emit('order.events')", "42501"),
        ("select wasaga.accept('order', '1')", "42501"),
        ("create schema mine", "42501"),
        ("create table wasaga_guest.t ()", "42501"),
        ("create function wasaga_guest.f() returns int language sql return 1", "42501"),
        ("create function pg_catalog.now() returns int language sql return 1", "42501"),
        ("create extension dblink", "42501"),
        ("copy notes to program 'true'", "25001"),
        ("select pg_read_file('/etc/passwd')", "42501"),
        (
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'wasaga'",
            "42501",
        ),
        ("commit", "25001"),
        ("/* x */ end", "25001"),
        ("select 1; commit", "42601"),
        ("do $$ begin commit; end $$", "2D000"),
        ("alter role current_user superuser", "42501"),
    ] {
        assert_eq!(code(store, statement).await, expected, "{statement}");
    }
    let wrong = "select * from wasaga_guest.tasks_finish('\\x00', 'in', 1, '{1}', '{0}', '{1}', '{ready}', '{1}',
        '{0}', '{null}', '{null}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', null, null)";
    assert_eq!(code(store, wrong).await, "42501");
    let wrong =
        format!("select * from wasaga_guest.sagas_commit('\\x00', 1{})", ", null".repeat(42));
    assert_eq!(code(store, &wrong).await, "42501");
}

#[tokio::test]
async fn the_token_is_not_to_be_had() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut tx = begin(&db.store).await;
    // Takes the names under which the host's driver prepares its statements.
    let steal = "do $$ begin
        for n in 1..99 loop
            begin
                execute 'deallocate sqlx_s_' || n;
            exception when others then null;
            end;
            execute 'prepare sqlx_s_' || n || ' (bytea) as insert into notes select 1, encode($1, ''hex'')';
        end loop;
    end $$";
    tx.execute(steal, &[]).await.unwrap();
    tx.execute("set local debug_print_plan = on", &[]).await.unwrap();
    let refused = db.store.tasks_finish_guest(host, &end, tx).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(one(&db.store, "select note from notes").await.unwrap().rows, Vec::<Vec<_>>::new());
}
