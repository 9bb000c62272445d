//! `wasaga migrate`, and a database that does not answer.

use std::fs;

use wasaga_store::testing::database;

use crate::wasaga::Wasaga;

#[tokio::test]
async fn the_schema_goes_down_and_up() {
    let database = database().await;
    let wasaga = Wasaga::new().set("DATABASE_URL", &database.url);
    let status = wasaga.run(&["migrate", "status"]);
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    assert!(status.stdout.contains("applied  0001_sagas") && !status.stdout.contains("missing"));

    let down = wasaga.run(&["migrate", "down", "--to", "1"]);
    assert!(down.stdout.contains("missing  0002_tasks"), "{} {}", down.stdout, down.stderr);
    let unknown = wasaga.run(&["migrate", "down", "--to", "3"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("--to 3"), "{}", unknown.stderr);

    let run = Wasaga::new()
        .set("DATABASE_URL", &database.url)
        .set("WASAGA_DATABASE__MIGRATE", "off")
        .set("WASAGA_KAFKA__EMBEDDED", "true")
        .set("SERVER_PORT", "0")
        .run(&[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("lacks the migrations 0002_tasks"), "{}", run.stderr);

    assert_eq!(wasaga.run(&["migrate", "down", "--to", "0"]).code, Some(0));
    let up = wasaga.run(&["migrate", "up"]);
    assert!(up.stdout.contains("applied  0004_commit") && !up.stdout.contains("missing"));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let database = database().await;
    let missing = Wasaga::new().set("DATABASE_URL", &format!("{}_gone", database.url));
    let ended = missing.run(&["migrate", "status"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("has no database"), "{}", ended.stderr);

    let away = Wasaga::new()
        .set("DATABASE_URL", "postgres://127.0.0.1:1/x")
        .set("WASAGA_DATABASE__START_TIMEOUT_MS", "600");
    let ended = away.run(&["migrate", "status"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("Postgres at 127.0.0.1:1 does not answer"), "{}", ended.stderr);

    let bad = Wasaga::new().set("DATABASE_URL", "nonsense").run(&["migrate", "status"]);
    assert!(bad.stderr.contains("database.url"), "{}", bad.stderr);
}

#[test]
fn new_writes_two_files() {
    let wasaga = Wasaga::new();
    fs::create_dir(wasaga.directory.join("migrations")).expect("a directory");
    fs::write(wasaga.directory.join("migrations/0007_x.up.sql"), "").expect("a file");
    let ended = wasaga.run(&["migrate", "new", "add_tenants"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for direction in ["up", "down"] {
        let file = format!("migrations/0008_add_tenants.{direction}.sql");
        assert!(wasaga.directory.join(file).is_file());
    }
    assert_eq!(wasaga.run(&["migrate", "new", "Add Tenants"]).code, Some(1));
}
