//! What the database's role has to be allowed.

use serde_json::Value;
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
