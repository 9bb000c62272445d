//! Each rule, by a manifest that breaks it.

use serde_json::{Value, json};
use wasaga_domain::{catalog::Plugin, ids::Digest};

use super::*;

/// A manifest that breaks none.
fn good() -> Value {
    json!({
        "name": "orders", "version": "1.2.3", "steps": ["reserve"],
        "sagas": [{
            "name": "order", "version": 1,
            "steps": [{"name": "reserve", "timeout_ms": 1000, "retry": {"never": {}}}],
            "triggers": [
                {"http": {"path": "/api/v1/orders", "key_name": "order_id"}},
                {"topic": {"topic": "orders.placed", "business_key": "key"}},
            ],
            "input_schema": {"type": "object"},
            "lifecycle_topic": "orders.lives",
        }],
        "subscriptions": [{"topic": "replies", "correlation": "key"}, {"topic": "commands"}],
        "out_topics": ["orders.mails"], "dead_in_topics": ["commands"], "dead_out_topics": ["audit"],
        "migrations": [{"version": 1, "name": "first", "up": "create table t ()"}],
        "capabilities": {"sql": true, "topics": ["orders.*", "audit"]},
    })
}

/// The good manifest with one place changed.
fn with(pointer: &str, value: Value) -> Manifest {
    let mut manifest = good();
    *manifest.pointer_mut(pointer).expect("the good manifest has this place") = value;
    serde_json::from_value(manifest).expect("a manifest")
}

fn fault(pointer: &str, value: Value) -> String {
    let changed = with(pointer, value);
    let checked = manifest(&changed, true, true);
    let defined = definitions(&changed, &Overrides::new()).map(drop);
    checked.and(defined).expect_err("a fault")
}

#[test]
fn a_good_manifest_passes() {
    let good = with("/version", json!("1.2.3-rc.1"));
    assert_eq!(manifest(&good, true, true), Ok(()));
    assert_eq!(definitions(&good, &Overrides::new()).expect("definitions").len(), 1);
}

#[test]
fn unknown_fields_are_named() {
    let fault = parse(r#"{"name": "a", "version": "1.0.0", "colour": 1}"#).expect_err("a fault");
    assert!(fault.contains("unknown field `colour`"), "{fault}");
    assert!(fault.contains("wit/manifest.schema.json"), "{fault}");
}

#[test]
fn each_fault_is_named() {
    let step = json!({"name": "reserve", "timeout_ms": 0, "retry": {"never": {}}});
    let saga = |name: &str| json!({"name": name, "version": 1, "steps": [step.clone()]});
    let http = |path: &str| json!([{"http": {"path": path, "key_name": "id"}}]);
    let heard = |topic: &str| json!([{"topic": topic, "correlation": "key"}]);
    let cases = [
        ("/version", json!("one"), "version \"one\" is not semantic"),
        ("/steps", json!([]), "its manifest's steps do not list it"),
        ("/steps", json!(["reserve", "reserve"]), "steps has \"reserve\" twice"),
        ("/sagas", json!([saga("order"), saga("order")]), "sagas has \"order\" twice"),
        ("/sagas/0/steps/0", step.clone(), "its timeout must be at least 1 ms"),
        ("/sagas/0/input_schema", json!({"type": "objct"}), "input_schema is no JSON Schema"),
        ("/sagas/0/lifecycle_topic", json!("no topic"), "lifecycle_topic names"),
        (
            "/sagas/0/lifecycle_topic",
            json!("lives"),
            "lifecycle_topic lives is not among the topics that it asks for",
        ),
        ("/sagas/0/triggers", http("orders"), "a path begins with /"),
        ("/sagas/0/triggers", http("/orders/{id}"), "a path begins with /"),
        ("/sagas/0/triggers", http("/api/v1/sagas/x"), "the host's own route"),
        ("/sagas/0/triggers", http("/readyz"), "the host's own route"),
        (
            "/sagas/0/triggers",
            json!([{"schedule": "0 25 * * *"}]),
            "plugin orders: saga \"order\": schedule \"0 25 * * *\": ",
        ),
        (
            "/sagas/0/triggers",
            json!([{"schedule": "0 3 * * *"}, {"schedule": {"cron": "0 4 * * *"}}]),
            "schedule \"0 4 * * *\" is its second one",
        ),
        (
            "/subscriptions",
            json!([{"topic": "a"}, {"topic": "a"}]),
            "subscriptions has \"a\" twice",
        ),
        ("/subscriptions", heard("no topic"), "which is no topic's name"),
        (
            "/subscriptions",
            json!([{"topic": "a", "correlation": {"json_pointer": "a"}}]),
            "RFC 6901",
        ),
        (
            "/out_topics",
            json!(["orders.mails", "orders.mails"]),
            "out_topics has \"orders.mails\" twice",
        ),
        ("/out_topics", json!(["mails"]), "add it to capabilities.topics"),
        ("/dead_in_topics", json!(["no topic"]), "dead_in_topics names topic \"no topic\""),
        ("/dead_out_topics", json!([""]), "dead_out_topics names topic \"\""),
        ("/capabilities/topics", json!(["a b", "orders.*"]), "capabilities.topics has \"a b\""),
        ("/capabilities/sql", json!(false), "migrations without capabilities.sql"),
        ("/migrations/0/version", json!(2), "number them from 1 without gaps"),
    ];
    for (pointer, value, expected) in cases {
        let fault = fault(pointer, value);
        assert!(fault.contains(expected), "{pointer}: {fault}");
    }
}

#[test]
fn two_sagas_share_no_start() {
    let mut sagas = good()["sagas"].clone();
    let second = json!({"name": "second", "version": 1, "steps": sagas[0]["steps"],
        "triggers": [sagas[0]["triggers"][1]]});
    sagas.as_array_mut().expect("a list").push(second.clone());
    assert!(fault("/sagas", sagas.clone()).contains("topic triggers has \"orders.placed\" twice"));
    sagas[1]["triggers"][0] = sagas[0]["triggers"][0].clone();
    assert!(fault("/sagas", sagas).contains("http triggers has \"/api/v1/orders\" twice"));
}

#[test]
fn what_it_lists_it_exports() {
    let good = with("/version", json!("1.2.3"));
    let fault = manifest(&good, false, true).expect_err("a fault");
    assert!(fault.contains("does not export wasaga:plugin/steps"), "{fault}");
    let fault = manifest(&good, true, false).expect_err("a fault");
    assert!(fault.contains("does not export wasaga:plugin/tasks"), "{fault}");
    let mut unheard = good;
    unheard.subscriptions.clear();
    let fault = manifest(&unheard, true, false).expect_err("a fault");
    assert!(
        fault.contains("out_topics names topics, and the component does not export"),
        "{fault}"
    );
}

#[test]
fn two_plugins_share_no_name_route_or_topic() {
    let other = with("/name", json!("others"));
    let mut catalog = Catalog::default();
    let described =
        Plugin { digest: Digest([0; 32]), manifest: Arc::new(other.clone()), lifecycle: false };
    catalog.plugins.insert(other.name.clone(), described);

    let mut mine = with("/name", json!("orders"));
    let fault = |mine: &Manifest| beside(mine, &catalog).expect_err("a fault");
    assert!(fault(&mine).contains("saga \"order\" is defined by plugin others"));
    mine.sagas[0].name = "my-order".into();
    assert!(fault(&mine).contains("http trigger \"/api/v1/orders\" belongs to plugin others"));
    mine.sagas[0].triggers.remove(0);
    let shared = "topic \"orders.placed\" is heard by plugin others too, and starts sagas";
    assert!(fault(&mine).contains(shared));
    mine.sagas[0].triggers.clear();
    let subscriptions = mine.subscriptions.clone();
    mine.subscriptions[0].topic = "orders.placed".into();
    assert!(fault(&mine).contains(shared));
    mine.subscriptions = subscriptions;
    assert!(fault(&mine).contains("topic \"commands\" is heard by plugin others otherwise"));
    mine.subscriptions[1].topic = "my-commands".into();
    for topics in ["out_topics", "dead_in_topics", "dead_out_topics"] {
        let fault = fault(&mine);
        assert!(fault.contains(&format!("{topics} names")), "{topics}: {fault}");
        assert!(fault.contains("one plugin takes part in a topic"), "{topics}: {fault}");
        match topics {
            "out_topics" => mine.out_topics.clear(),
            "dead_in_topics" => mine.dead_in_topics.clear(),
            _ => mine.dead_out_topics.clear(),
        }
    }
    assert_eq!(beside(&mine, &catalog), Ok(()), "the same correlation is one recipient");
    mine.subscriptions[0].correlation = Some(Locator::Header("id".into()));
    assert!(fault(&mine).contains("topic \"replies\" is heard by plugin others otherwise"));
    mine.name = other.name.clone();
    assert_eq!(beside(&mine, &catalog), Ok(()), "a plugin replaces itself");
}
