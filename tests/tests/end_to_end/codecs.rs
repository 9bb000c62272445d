//! Topics with codecs, on a real Kafka: values in Avro, Protobuf and JSON start sagas and are found by pointers; those that
//! can't be read, and a registry that is away.

use serde_json::{Value, json};
use wasaga_tests::{
    Host, HostOptions, PATIENCE, Record, Registry, World,
    check::{promises, promises_with},
    eventually,
};

const AVRO: &str = r#"{"type": "record", "name": "Form", "fields": [
    {"name": "form", "type": {"type": "record", "name": "Id", "fields": [{"name": "id", "type": "string"}]}},
    {"name": "name", "type": "string"}]}"#;
const PROTOBUF: &str = r#"syntax = "proto3"; package intake; message Noise {}
    message Form { message Id { string id = 1; } Id form = 1; string name = 2; }"#;
const REPLY: &str = r#"{"type": "record", "name": "Reply", "fields": [
    {"name": "correlation", "type": "string"}, {"name": "cents", "type": "long"}]}"#;

/// Keys of a topic in the configuration.
type Keys<'a> = &'a [(&'a str, &'a str)];

/// Writes a form with this id and name.
type Write = fn(&str, &str) -> Vec<u8>;

fn registry() -> Registry {
    Registry::new(&[
        (1, "AVRO", AVRO),
        (2, "PROTOBUF", PROTOBUF),
        (3, "JSON", "{}"),
        (4, "AVRO", REPLY),
    ])
}

/// The frame of Confluent's serializers, with the value behind it.
fn framed(schema: u8, value: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, schema], value].concat()
}

/// Text of fewer than 64 bytes.
fn avro_text(text: &str) -> Vec<u8> {
    [&[2 * text.len() as u8], text.as_bytes()].concat()
}

fn avro(id: &str, name: &str) -> Vec<u8> {
    [avro_text(id), avro_text(name)].concat()
}

fn protobuf(id: &str, name: &str) -> Vec<u8> {
    let field = |tag: u8, value: &[u8]| [&[tag, value.len() as u8], value].concat();
    [field(0x0a, &field(0x0a, id.as_bytes())), field(0x12, name.as_bytes())].concat()
}

fn json_form(id: &str, name: &str) -> Vec<u8> {
    json!({"form": {"id": id}, "name": name}).to_string().into_bytes()
}

fn form(key: &str, value: Vec<u8>) -> Record {
    Record::bytes("intake.forms", key, value)
}

/// A host that reads forms so, and knows the registry.
fn reads(world: &World, registry: &Registry, forms: Keys<'_>) -> HostOptions {
    let password = world.file("password", "hush\n");
    let host = world
        .host()
        .set("registry.url", json!(registry.url()))
        .set("registry.account", "\"reader\"")
        .set("registry.password.file", json!(password))
        .set("topics.\"probe.bod*\".codec", "\"avro\"");
    forms.iter().fold(host, |host, (key, value)| {
        host.set(&format!("topics.\"intake.forms\".{key}"), json!(value))
    })
}

/// Waits until the saga of this form has completed, with this input.
async fn registered(world: &World, id: &str, name: &str) {
    let saga = format!(
        "select convert_from(input, 'UTF8') from wasaga.sagas
         where definition = 'registration' and business_key = '{id}' and status = 'completed'"
    );
    let input = eventually(format!("{id} is registered"), PATIENCE, async || {
        world.texts(&saga).await.pop()
    })
    .await;
    let input: Value = serde_json::from_str(&input).expect("an input is JSON");
    assert_eq!(input, json!({"form": {"id": id}, "name": name}));
}

/// The only open letter, as the API shows it.
async fn letter(world: &World, host: &Host) -> Value {
    let open = "select id::text from wasaga.dead_letter_in where finished_at is null";
    let id =
        eventually("there is a letter", PATIENCE, async || world.texts(open).await.pop()).await;
    host.api.get(&format!("/api/v1/dead-letters/in/{id}")).await.ok()
}

#[tokio::test]
async fn records_start_sagas_whatever_their_codec() {
    let world = World::on_kafka(&["intake-rust", "probe-rust"]).await;
    let mut registry = registry();
    registry.start().await;
    let avro_file = world.file("form.avsc", AVRO);
    let protobuf_file = world.file("form.proto", PROTOBUF);

    let codecs: [(&str, Keys<'_>, Write); 5] = [
        ("avro", &[("codec", "avro")], |id, name| framed(1, &avro(id, name))),
        // Behind the number of the schema: one index, of the second message.
        ("protobuf", &[("codec", "protobuf")], |id, name| {
            framed(2, &[b"\x02\x02", &protobuf(id, name)[..]].concat())
        }),
        ("json", &[("codec", "json")], |id, name| framed(3, &json_form(id, name))),
        ("avro-file", &[("codec", "avro"), ("schema", &*avro_file)], avro),
        (
            "protobuf-file",
            &[("codec", "protobuf"), ("schema", &*protobuf_file), ("message", "intake.Form")],
            protobuf,
        ),
    ];
    for (nth, (codec, keys, write)) in codecs.into_iter().enumerate() {
        let host = reads(&world, &registry, keys).start().await;
        let (first, second) = (format!("{codec}-1"), format!("{codec}-2"));
        let poison = write(&first, "cut off");
        let poison = poison[..poison.len() - 1].to_vec();
        world
            .produce(&[
                form(codec, write(&first, "ada")),
                form(codec, poison.clone()),
                form(codec, write(&second, "grace")),
            ])
            .await;
        registered(&world, &first, "ada").await;
        // Behind the poisoned one, of the same key.
        registered(&world, &second, "grace").await;

        let letter = letter(&world, &host).await;
        assert_eq!(letter["reason"]["code"], "unreadable-value", "{codec}: {letter}");
        let why = letter["reason"]["message"].as_str().unwrap_or_default();
        assert!(why.starts_with("the record's value can't be read: "), "{codec}: {why}");
        assert_eq!((&letter["decoded_error"], &letter["decoded"]), (&json!(why), &Value::Null));
        assert!(letter["value"].is_object(), "{codec}: the bytes are there: {letter}");
        let id = letter["letter_id"].to_string();
        let shown = host.cli(&["dead-letters", "show", "in", &id, "--json"]).await;
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["decoded_error"], why);
        host.cli(&["dead-letters", "discard", "in", &id, "--reason", "poison"]).await;

        let of_codec = format!(
            "select min(id) from wasaga.task_out where topic = 'intake.forms' and key = '{codec}'"
        );
        let event = world.number(&of_codec).await;
        let expected = json!({"form": {"id": first}, "name": "ada"});
        let shown = host.api.get(&format!("/api/v1/events/{event}")).await.ok();
        assert_eq!(shown["decoded"], expected, "{codec}: {shown}");
        let shown = host.cli(&["outbox", "show", &event.to_string()]).await;
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["decoded"], expected);

        // A reply is found by a pointer into it, and stays the bytes it is for who waits.
        let correlation = format!("c-{nth}");
        let reply = framed(4, &[avro_text(&correlation), vec![0x02]].concat());
        world.produce(&[Record::bytes("probe.bodies", "r", reply)]).await;
        let arrived = format!(
            "select count(*) from wasaga.waits where topic = 'probe.bodies' and correlation = '{correlation}'
                 and get_byte(arrived_values[1], 4) = 4"
        );
        eventually("the reply is kept", PATIENCE, async || {
            (world.number(&arrived).await == 1).then_some(())
        })
        .await;
        host.stop(PATIENCE).await;
    }
    promises_with(&world, 5).await;
}

#[tokio::test]
async fn registry_down_then_up() {
    let world = World::on_kafka(&["intake-rust", "probe-rust"]).await;
    let mut registry = registry();
    let options = reads(&world, &registry, &[("codec", "avro")]);
    let mut host = options.start().await;
    let name = |n: usize| format!("f-{n}");
    let forms: Vec<_> =
        (0..20).map(|n| form(&format!("k-{}", n % 5), framed(1, &avro(&name(n), "ada")))).collect();
    world.produce(&forms).await;
    let waits = "select count(*) from wasaga.task_in
        where topic = 'intake.forms' and status = 'wait' and attempts = 0";
    eventually("all forms are taken, and wait", PATIENCE, async || {
        (world.number(waits).await == 20).then_some(())
    })
    .await;
    host.logged("the schema registry is away").await;
    host.logged("a record's value can't be read yet, and its key waits").await;
    let first =
        world.number("select min(id) from wasaga.task_out where topic = 'intake.forms'").await;
    let shown = host.api.get(&format!("/api/v1/events/{first}")).await.ok();
    let why = shown["decoded_error"].as_str().unwrap_or_default();
    assert!(why.contains("registry"), "{shown}");

    // Another topic's records do not wait.
    let step = json!({"do": "wait", "topic": "probe.replies", "correlation": "c"});
    let saga = host.api.probe(&json!({"steps": {"a": [step]}})).await;
    world
        .produce(&[Record::new("probe.replies", "r", &json!({})).header("correlation-id", "c")])
        .await;
    host.api.reaches(&saga, "completed").await;

    // Nor is anything lost by whom they wait for.
    host.kill9();
    let host = options.start().await;
    host.logged("a record's value can't be read yet, and its key waits").await;
    assert_eq!(world.number(waits).await, 20);
    assert_eq!(world.number("select count(*) from wasaga.dead_letter_in").await, 0);

    registry.start().await;
    for n in 0..20 {
        registered(&world, &name(n), "ada").await;
    }
    // In the order of each key.
    let starts =
        "select string_agg(s.business_key, ' ' order by s.created_at, s.id) from wasaga.sagas s
        where s.business_key in ('f-0', 'f-5', 'f-10', 'f-15')";
    assert_eq!(world.texts(starts).await, ["f-0 f-5 f-10 f-15"]);
    assert_eq!(registry.asked(), 1, "one schema is asked for once");
    promises(&world).await;
}
