//! The login roles.

use wasaga_domain::{
    ports::{ModuleError, ModuleStore},
    sql::SqlValue,
};
use wasaga_store::{Store, StoreOptions, testing::database};

use crate::stage::{MIGRATION, begin, module, one, task, with_plugin};

#[tokio::test]
async fn a_lost_or_tampered_role_is_mended() {
    let db = with_plugin().await;
    let mut tx = begin(&db.store).await;
    tx.execute(
        "do $$ begin execute 'alter role ' || current_user || ' set search_path = nowhere'; end $$",
        &[],
    )
    .await
    .unwrap();
    let rows = tx.query("select current_user::text", &[]).await.unwrap().rows;
    let SqlValue::Text(role) = &rows[0][0] else { panic!("{rows:?}") };
    drop(tx);
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    let lose = format!("alter table plugin_note_book.notes owner to wasaga; alter schema plugin_note_book owner to wasaga;
        drop owned by {role}; drop type if exists plugin_note_book.mood; drop role {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lose)).execute(&pool).await.unwrap();
    let fresh = Store::new(StoreOptions::new(db.url.clone())).unwrap();
    begin(&fresh).await.execute("insert into notes values (1, 'again')", &[]).await.unwrap();
}

#[tokio::test]
async fn without_the_right_to_make_roles_the_way_out_is_named() {
    let db = database().await;
    let pool = sqlx::PgPool::connect(&db.url).await.unwrap();
    let user = format!("wasaga_poor_{}", std::process::id());
    let make = format!(
        "create role {user} login; grant usage on schema wasaga to {user};
        grant all on all tables in schema wasaga to {user}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&pool).await.unwrap();
    let powerless =
        Store::new(StoreOptions::new(db.url.replace("//wasaga@", &format!("//{user}@")))).unwrap();
    let refused = powerless.activate(module("note-book", &[])).await;
    let Err(ModuleError::Rejected(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("createrole") && why.contains(&user), "{why}");
    powerless.close().await;
    let rid = format!("drop owned by {user}; drop role {user}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(rid)).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn what_a_guest_sets_for_its_role_lasts_until_the_next_activation() {
    let db = with_plugin().await;
    let (host, end) = task(&db).await;
    let mut tx = begin(&db.store).await;
    let tamper = "do $$ begin
        execute format('alter role %I set search_path = nowhere', current_user);
        execute format('alter role %I set lock_timeout = 7', current_user);
        execute format('alter role %I in database %I set work_mem = 77', current_user, current_database());
    end $$";
    tx.execute(tamper, &[]).await.unwrap();
    assert!(db.store.tasks_finish_guest(host, &end, tx).await.unwrap());

    let settings = "select current_setting('lock_timeout'), current_setting('work_mem'),
        current_setting('search_path')";
    let in_new_session = async || {
        let fresh = Store::new(StoreOptions::new(db.url.clone())).unwrap();
        let rows = one(&fresh, settings).await.unwrap().rows;
        rows[0].clone()
    };
    let text = |text: &str| SqlValue::Text(text.into());
    assert_eq!(in_new_session().await, [text("7ms"), text("77kB"), text("nowhere")]);
    db.store.activate(module("note-book", &[MIGRATION])).await.unwrap();
    let settings = in_new_session().await;
    assert!(settings[0] == text("0") && settings[1] != text("77kB"), "{settings:?}");
    assert_eq!(settings[2], text("plugin_note_book"));
}
