//! What the database's role has to be allowed, and what a plugin is, in each phase.

use serde_json::{Value, json};
use wasaga_tests::{ORDER_PLUGINS, Order, World};

#[tokio::test]
async fn a_role_that_owns_its_database_is_enough() {
    let world = World::on_postgres(&ORDER_PLUGINS).await;
    // Roles for plugins' SQL are what CREATEROLE is for.
    world.run("create role plain login nosuperuser createrole").await;
    world.run("create database plain owner plain").await;
    let port = world.postgres.as_ref().expect("it is the world's own").port();
    let url = Value::from(format!("postgres://plain@127.0.0.1:{port}/plain"));
    let host = world.host().set("database.url", url).start().await;
    for (customer, end) in [("alice", "completed"), ("declined", "compensated")] {
        let saga = host.api.order(&Order::of(customer)).await;
        host.api.reaches(&saga, end).await;
    }
}

#[tokio::test]
async fn what_is_granted_for_the_undo_alone_is_had_in_the_undo_alone() {
    let world = World::embedded(&["probe-sql-rust"]).await;
    let topics = r#"topics = ["probe-sql.*"]"#;
    let undo = format!(r#"{topics}, sql = true, config = {{ greeting = "hello" }}"#);
    let grant = format!("{{ {topics}, compensate = {{ {undo} }} }}");
    let host = world
        .host()
        .set("plugins.grant_all", false)
        .set("plugins.probe-sql.grant", grant.as_str())
        .start()
        .await;
    let insert = "insert into marks (note) values ('$attempt of the undo')";
    let sql = json!({"do": "sql", "execute": [insert]});
    let looks = json!({"do": "imports", "message": "x"});
    let input = json!({
        "steps": {"a": [looks], "b": [sql], "c": [{"do": "permanent"}]},
        "undo": {"a": [looks], "b": [sql]},
    });
    let start = json!({"definition": "probe-sql", "input": input});
    let saga = host.api.post("/api/v1/sagas", &start).await.saga();
    host.api.reaches(&saga, "compensated").await;
    let output = async |step: &str, direction: &str| {
        let query = format!(
            "select convert_from(output, 'UTF8') from wasaga.journal
             where saga_id = '{saga}' and step = '{step}' and direction = '{direction}' and kind = 'succeeded'"
        );
        let output = world.texts(&query).await.concat();
        serde_json::from_str::<Value>(&output).expect("it is JSON")
    };
    let denied = output("b", "forward").await;
    assert_eq!(denied["code"], "42501");
    let message = denied["message"].as_str().unwrap_or_default();
    assert!(message.contains("is not granted sql while it executes: "), "{message}");
    assert_eq!(output("b", "undo").await["touched"], json!([1]));
    assert_eq!(world.texts("select note from plugin_probe_sql.marks").await, ["1 of the undo"]);
    assert_eq!(output("a", "forward").await["greeting"], json!(null));
    assert_eq!(output("a", "undo").await["greeting"], "hello");
}
