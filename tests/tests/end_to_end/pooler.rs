//! Hosts that reach Postgres through `PgBouncer` in transaction mode.

use serde_json::Value;
use wasaga_services::PgBouncer;
use wasaga_tests::{
    HostOptions, ORDER_PLUGINS, Order, PATIENCE, World, check::promises, eventually,
};

/// A pooler before the world's database, with fewer connections than the hosts have.
fn pooler(world: &World) -> (PgBouncer, String) {
    let direct = world.database_url();
    let pooler = PgBouncer::start(direct, 3).expect("PgBouncer starts");
    let (user, rest) = direct.split_once("@127.0.0.1:").expect("a url on loopback");
    let (_, database) = rest.split_once('/').expect("the url names a database");
    let url = format!("{user}@127.0.0.1:{}/{database}", pooler.port());
    (pooler, url)
}

fn pooled(world: &World, url: &str) -> HostOptions {
    let url = Value::from(url);
    world.host().set("database.url", url).set("database.pgbouncer", true)
}

#[tokio::test]
async fn orders_go_through_pgbouncer_and_guests_past_it() {
    let world = World::on_kafka(&ORDER_PLUGINS).await;
    let (_pooler, url) = pooler(&world);
    let direct = Value::from(world.database_url());
    let host = pooled(&world, &url).set("database.direct_url", &direct).start().await;
    let mut other = pooled(&world, &url).set("database.direct_url", &direct).start().await;
    let mut sagas = Vec::new();
    for n in 0..40 {
        let order = Order::of(["alice", "declined", "unshippable"][n % 3]);
        sagas.push(if n % 2 == 0 {
            host.api.order(&order).await
        } else {
            other.api.order(&order).await
        });
    }
    other.kill9();
    for (n, saga) in sagas.iter().enumerate() {
        let end = ["completed", "compensated", "compensated"][n % 3];
        host.api.reaches(saga, end).await;
    }
    promises(&world).await;
}

#[tokio::test]
async fn without_a_way_past_pgbouncer_what_needs_sql_is_refused() {
    let world = World::embedded(&["inventory-rust"]).await;
    let (_pooler, url) = pooler(&world);
    let host = pooled(&world, &url).spawn();
    let refused = "plugin inventory needs SQL, but database.direct_url is missing";
    eventually("the plugin is refused", PATIENCE, async || {
        host.log().contains(refused).then_some(())
    })
    .await;
}
