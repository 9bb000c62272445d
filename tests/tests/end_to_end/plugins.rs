//! Modules that come, are replaced, and are refused.

use serde_json::{Value, json};
use wasaga_tests::{
    ORDER_PLUGINS, Order, PATIENCE, Record, World, bytes_of, check::promises, eventually,
};

fn waits_in_b(correlation: &str) -> Value {
    let wait = json!({"do": "wait", "topic": "probe.replies", "correlation": correlation});
    json!({"steps": {"b": [wait]}})
}

fn reply(correlation: &str) -> Record {
    Record::new("probe.replies", correlation, &json!("go on")).header("correlation-id", correlation)
}

#[tokio::test]
async fn plugin_replaced_while_sagas_wait() {
    let world = World::embedded(&["probe-rust"]).await;
    let host = world.host().start().await;
    let correlations: Vec<_> = (0..10).map(|n| format!("swap-{n}")).collect();
    let scripts: Vec<_> = correlations.iter().map(|name| waits_in_b(name)).collect();
    let sagas = host.api.probes(&scripts).await;
    for saga in &sagas {
        host.api.waits_in(saga, "b").await;
    }
    let pinned = json!({"definition": "probe-pinned", "input": waits_in_b("swap-pinned")});
    let pinned = host.api.post("/api/v1/sagas", &pinned).await.saga();
    host.api.waits_in(&pinned, "b").await;
    let old = host.api.plugin("probe").await.expect("it is active");

    // In place, and not in one piece: it must not be taken up before it is whole.
    world.plugins.copy_slowly("probe-rust", &bytes_of("probe-v2-rust"));
    let new = eventually("version 2 is active", PATIENCE, async || {
        host.api.plugin("probe").await.filter(|plugin| plugin["version"] == "2.0.0")
    })
    .await;
    assert_eq!(host.log().matches("rejected").count(), 0, "{}", host.log());
    let replies = correlations.iter().map(String::as_str).chain(["swap-pinned"]);
    world.produce(&replies.map(reply).collect::<Vec<_>>()).await;

    for saga in &sagas {
        let saga = host.api.reaches(saga, "completed").await;
        assert_eq!(saga["outputs"]["a"]["version"], old["version"]);
        assert_eq!(saga["outputs"]["c"]["version"], "2.0.0");
        let id = saga["saga_id"].as_str().expect("a saga has an id");
        let ledger = format!(
            "select step || ' sha256:' || encode(digest, 'hex') from wasaga.ledger
             where saga_id = '{id}' order by number"
        );
        let line = |step: &str, plugin: &Value| {
            format!("{step} {}", plugin["digest"].as_str().unwrap_or_default())
        };
        assert_eq!(world.texts(&ledger).await, [line("a", &old), line("b", &new), line("c", &new)]);
    }
    let pinned = host.api.reaches(&pinned, "completed").await;
    for step in ["a", "c"] {
        assert_eq!(
            pinned["outputs"][step]["version"], old["version"],
            "it keeps its code: {pinned}"
        );
    }
    promises(&world).await;
}

#[tokio::test]
async fn broken_wasm_dropped_into_the_directory() {
    let world = World::embedded(&["probe-rust"]).await;
    let grant = r#"{ topics = ["probe.*"], config = { greeting = "hello" } }"#;
    let host = world
        .host()
        .set("plugins.grant_all", false)
        .set("plugins.probe.grant", grant)
        .start()
        .await;
    let active = host.api.plugin("probe").await.expect("it is active");
    let saga = host.api.probe(&waits_in_b("broken")).await;
    host.api.waits_in(&saga, "b").await;

    let whole = bytes_of("bench-rust");
    let broken: [(&str, &[u8], &str); 5] = [
        ("garbage", b"this is no wasm at all", "not WebAssembly"),
        ("torn", &whole[..whole.len() / 2], "does not compile"),
        ("foreign", &bytes_of("foreign-rust"), "wasaga:plugin"),
        ("greedy", &bytes_of("inventory-rust"), "[plugins.inventory] grant.sql = true"),
        // The active one itself, replaced by what is none.
        ("probe-rust", b"\0asm and no more", "WebAssembly"),
    ];
    for (name, bytes, _) in &broken {
        world.plugins.put(name, bytes);
    }
    for (name, _, told) in &broken {
        let reason = host.api.rejects(&format!("{name}.wasm")).await;
        assert!(reason.contains(told), "{name}: {reason}: nothing of {told:?}");
        host.logged(&reason).await;
    }

    // None of it is active, and the old one goes on, also when its file is gone.
    assert_eq!(host.api.plugin("probe").await.as_ref(), Some(&active));
    assert_eq!(host.api.get("/readyz").await.status, 200);
    world.plugins.remove("probe-rust");
    world.produce(&[reply("broken")]).await;
    host.api.reaches(&saga, "completed").await;
    let after = host.api.probe(&json!({})).await;
    host.api.reaches(&after, "completed").await;
    assert_eq!(world.number("select count(*) from wasaga.modules").await, 1);
    promises(&world).await;
}

#[tokio::test]
async fn an_ungranted_import_is_denied() {
    let world = World::embedded(&["ungranted-rust"]).await;
    let host = world.host().start().await;
    let start = json!({"definition": "ungranted", "input": {}});
    let saga = host.api.post("/api/v1/sagas", &start).await.saga();
    let saga = host.api.reaches(&saga, "completed").await;
    assert_eq!(saga["outputs"]["a"]["code"], "42501", "{saga}");
    promises(&world).await;
}

#[tokio::test]
async fn same_definition_other_content_is_refused() {
    let world = World::embedded(&ORDER_PLUGINS).await;
    let host = world.host().start().await;
    let active = host.api.plugin("order-saga").await;
    // The same module but for a word of its definition, `order` version 1.
    let (old, new) = (b"Order creation started", b"Order creation STARTED");
    let mut bytes = bytes_of("order-saga-rust");
    let places = bytes.windows(old.len()).enumerate();
    let place = places.filter(|(_, window)| *window == old).map(|(place, _)| place).next();
    let place = place.expect("the text stands in the module's data");
    bytes[place..place + new.len()].copy_from_slice(new);
    world.plugins.put("order-saga-rust", &bytes);

    let reason = host.api.rejects("order-saga-rust.wasm").await;
    for told in ["order", "version 1", "content"] {
        assert!(reason.contains(told), "{reason}: nothing of {told:?}");
    }
    assert_eq!(host.api.plugin("order-saga").await, active);
    let saga = host.api.order(&Order::of("alice")).await;
    host.api.reaches(&saga, "completed").await;
    promises(&world).await;
}

#[tokio::test]
async fn one_guests_bad_data_in_a_full_batch() {
    let world = World::embedded(&["probe-rust"]).await;
    // One committer gathers all that comes while it commits.
    let host = world.host().set("engine.committers", 1).set("engine.batch", 200).start().await;
    // A key that no index row has place for. Random, or it would be compressed.
    let long: String = (0..200).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    let mut scripts = vec![json!({"steps": {"a": [{"do": "done"}]}}); 100];
    scripts[50] = json!({"steps": {"b": [{
        "do": "wait", "topic": "probe.replies", "correlation": long,
    }]}});
    let sagas = host.api.probes(&scripts).await;
    for (n, saga) in sagas.iter().enumerate() {
        if n == 50 {
            // Its first step is undone.
            let saga = host.api.reaches(saga, "compensated").await;
            assert_eq!(saga["error"]["code"], "bad-data", "{saga}");
        } else {
            host.api.reaches(saga, "completed").await;
        }
    }
    assert_eq!(
        world.journal(&sagas[50]).await,
        [
            "a succeeded",
            "b retrying",
            "b retrying",
            "b failed",
            "undoing",
            "undo a succeeded",
            "compensated",
        ]
    );
    promises(&world).await;
}
