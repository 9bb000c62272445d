//! The guest SDKs: all that each of them offers, by plugins/testing/sdk-*.

use serde_json::{Value, json};
use wasaga_tests::{PATIENCE, Record, World, check::promises_with, eventually};

/// Messages on each flow, waits of every kind, SQL, events, a child, a foreign error, an undo, and what hears of it all.
/// `place`: what tells where in the plugin's own code an attempt failed by its own mistake.
async fn does_it_all(language: &str, place: &str) {
    let name = format!("sdk-{language}");
    let world = World::embedded(&[&name]).await;
    let grant = format!("plugins.{name}.grant");
    let host = world.host().set(&grant, r#"{ config = { greeting = "hello" } }"#).start().await;
    let run = async |key: &str, input: Value| {
        let start = json!({"definition": name, "business_key": key, "input": input});
        host.api.post("/api/v1/sagas", &start).await.saga()
    };

    let saga = run("one", json!({"n": 1})).await;
    let completed = host.api.reaches(&saga, "completed").await;
    let outputs = &completed["outputs"];
    assert_eq!(outputs["ask"], json!({"n": 2, "asked": 1}));
    assert_eq!(outputs.get("skip"), None);
    let row = json!({"id": "one", "n": 7, "half": 0.5, "yes": true, "deep": {"deep": [1]}, "nothing": null});
    let store = json!({"row": row, "sum": 7, "version": 2, "greeting": "hello", "absent": null});
    assert_eq!(outputs["store"], store);
    let kid = json!({"name": "kid", "status": "completed", "output": "grown"});
    assert_eq!(outputs["parent"], kid);
    assert_eq!(outputs["hear"], json!({"name": "go", "payload": {"by": "kid"}}));
    let finished = json!(["ask", "skip", "store", "parent", "hear"]);
    let finished_by_output = json!(["ask", "store", "parent", "hear"]);
    assert_eq!(outputs["rest"]["kind"], "timed-out");
    assert_eq!(outputs["rest"]["n"], 2);
    assert!([finished, finished_by_output].contains(&outputs["rest"]["finished"]), "{outputs}");
    // Its first attempt failed by the plugin's own mistake.
    assert_eq!(outputs["fail"], json!({"attempt": 2}));
    let failed = format!(
        "select error ->> 'message' from wasaga.journal
         where saga_id = '{saga}' and step = 'fail' and kind = 'retrying'"
    );
    let failed = world.texts(&failed).await.concat();
    assert!(failed.contains(place), "{failed}");

    let saga = run("two", json!({"n": 2, "fail": "please"})).await;
    let ended = host.api.reaches(&saga, "compensated").await;
    assert_eq!(ended["error"]["code"], "as-wanted");
    let undone = format!(
        "select convert_from(output, 'UTF8') from wasaga.journal
         where saga_id = '{saga}' and direction = 'undo' and kind = 'succeeded'"
    );
    let undone = world.texts(&undone).await.concat();
    let undone: Value = serde_json::from_str(&undone).expect("it is JSON");
    assert_eq!(undone, json!({"undone": "asked", "direction": "undo", "cause": "as-wanted"}));

    let [poison, noise] = ["poison", "noise"].map(|of| format!("{name}.{of}"));
    let of_noise = |said: &str| Record::new(&noise, "key", &json!(said));
    let poisoned = Record::new(&poison, "key", &json!(0)).text("{\"not\": ");
    world.produce(&[poisoned, of_noise("hush"), of_noise("loud")]).await;
    let event = |(kind, step, code): (&str, Option<&str>, Option<&str>)| json!({"kind": kind, "step": step, "code": code});
    let mut expected: Vec<Value> = [
        ("started", None, None),
        ("step-succeeded", Some("ask"), None),
        ("step-failed", Some("fail"), Some("as-wanted")),
        ("step-compensated", Some("ask"), None),
        ("completed", None, None),
        ("compensated", None, Some("as-wanted")),
    ]
    .map(event)
    .into();
    expected.push(json!({"dead": "undecodable-json", "topic": poison}));
    let told = format!(
        "select convert_from(value, 'UTF8') from wasaga.task_out where topic = '{name}.heard'"
    );
    eventually("lives and the dead letter are told of", PATIENCE, async || {
        let told = world.texts(&told).await;
        let told: Vec<Value> =
            told.iter().map(|told| serde_json::from_str(told).expect("it is JSON")).collect();
        expected.iter().all(|expected| told.contains(expected)).then_some(())
    })
    .await;
    // What was dropped would have come first.
    let noises =
        format!("select convert_from(value, 'UTF8') from wasaga.task_in where topic = '{noise}'");
    let noises = eventually("what was not dropped is heard", PATIENCE, async || {
        Some(world.texts(&noises).await).filter(|noises| !noises.is_empty())
    })
    .await;
    assert_eq!(noises, ["\"loud\""]);
    promises_with(&world, 1).await;
    // Behind the promises: nothing of the outbox is given up, says one of them.
    is_told_of_what_is_lost(&world, &name).await;
}

/// A message that no broker takes is given up, and what the plugin makes of it is published in its place.
async fn is_told_of_what_is_lost(world: &World, name: &str) {
    let lost = format!("{name}.lost");
    world
        .run(&format!("select wasaga.emit('{lost}', 'big', to_jsonb(repeat('x', 2000000)))"))
        .await;
    let told = format!(
        "select convert_from(value, 'UTF8') from wasaga.task_out
         where topic = '{name}.heard' and status = 'ready' and convert_from(value, 'UTF8') like '%\"lost\"%'"
    );
    let told =
        eventually("it is told what was lost", PATIENCE, async || world.texts(&told).await.pop())
            .await;
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    let why = "kafka-message-size-too-large";
    assert_eq!(told, json!({"lost": "big", "topic": lost, "why": why}));
    let letters =
        "select concat_ws(' ', topic, reason ->> 'code', ending) from wasaga.dead_letter_out";
    assert_eq!(world.texts(letters).await, [format!("{lost} {why} handled")]);
}

#[tokio::test]
async fn c_sdk() {
    does_it_all("c", " at fail (src/plugin.c:152)").await;
}

#[tokio::test]
async fn go_sdk() {
    does_it_all("go", "panic: nothing at main.fail (sdk/main.go:164)").await;
}

#[tokio::test]
async fn javascript_sdk() {
    does_it_all("javascript", " at execute (src/plugin.js:76)").await;
}

#[tokio::test]
async fn python_sdk() {
    does_it_all("python", " at fail (plugin.py:159)").await;
}
