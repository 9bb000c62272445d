//! examples/intake: records that start sagas, on a real Kafka, and a plugin that hears of their lives.

use serde_json::json;
use wasaga_tests::{PATIENCE, Record, World, check::promises_with, eventually};

fn form(id: &str, name: &str) -> Record {
    Record::new("intake.forms", id, &json!({"form": {"id": id}, "name": name}))
}

#[tokio::test]
async fn forms() {
    let world = World::on_kafka(&["intake-rust"]).await;
    let retry = "{ fixed = { delay_ms = 20, max_attempts = 2 } }";
    let host = world.host().set("flows.in_retry", retry).start().await;

    let people = ["ada", "grace", "alan", "Anita", "barbara"];
    let mut records: Vec<_> = people.iter().map(|name| form(&format!("f-{name}"), name)).collect();
    records.extend([
        // Twice, and with another name under the same key.
        form("f-ada", "ada"),
        form("f-ada", "eve"),
        // Nothing that fits.
        Record::new("intake.forms", "k-1", &json!({"form": {"id": "f-1"}, "name": 5})),
        Record::new("intake.forms", "k-2", &json!({"name": "nobody"})),
        Record::new("intake.forms", "k-3", &json!({})).text("{\"form\": "),
        // Behind a poisoned one, and where the hook traps.
        Record::new("intake.forms", "k-3", &json!({"form": {"id": "f-3"}, "name": "behind"})),
        form("f-nameless", ""),
    ]);
    world.produce(&records).await;

    let registered = "select count(*) from wasaga.sagas
        where definition = 'registration' and status = 'completed'";
    eventually("whoever filled in a form is registered", PATIENCE, async || {
        (world.number(registered).await == people.len() as i64 + 2).then_some(())
    })
    .await;
    let reasons = "select topic || ': ' || (reason->>'code') || ': ' || (reason->>'message')
        from wasaga.dead_letter_in order by 1";
    let reasons = eventually("what can't be taken is a dead letter", PATIENCE, async || {
        let reasons = world.texts(reasons).await;
        (reasons.len() == 5).then_some(reasons)
    })
    .await;
    for told in ["with another input", "/name", "/form/id", "no JSON", "wasaga:lifecycle:intake"] {
        assert!(reasons.iter().any(|reason| reason.contains(told)), "{reasons:?}: no {told}");
    }
    let trapped = "select count(*) from wasaga.sagas s join wasaga.dead_letter_in d
        on s.id::text = convert_from(d.key, 'UTF8')
        where d.topic like 'wasaga:%' and s.status = 'completed' and s.business_key = 'f-nameless'";
    assert_eq!(world.number(trapped).await, 1, "the saga is none the worse for it");

    // A(da), A(lan), A(nita), B(arbara), B(ehind), G(race): each counted once.
    let counted = "select letter || people from plugin_intake.registered order by letter";
    eventually("the registered are counted", PATIENCE, async || {
        (world.texts(counted).await == ["A3", "B2", "G1"]).then_some(())
    })
    .await;
    let welcomed = "select count(*) from wasaga.task_out where topic = 'intake.welcomes'";
    assert_eq!(world.number(welcomed).await, people.len() as i64 + 2);
    assert!(host.log().contains("trap"), "the host tells of the trap");
    promises_with(&world, reasons.len()).await;
}
