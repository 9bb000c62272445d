//! `wasaga outbox`.

use serde_json::Value;
use wasaga_store::testing::database;

use crate::wasaga::Wasaga;

#[tokio::test]
async fn messages_are_emitted_found_and_shown() {
    let database = database().await;
    let wasaga = Wasaga::new().set("DATABASE_URL", &database.url);
    let order = r#"{"topic": "orders", "key": "o-1", "payload": {"cents": 1200}}"#;
    let one = wasaga.run(&["outbox", "emit", order]);
    assert_eq!((one.stdout.as_str(), one.code), ("1\n", Some(0)), "{}", one.stderr);
    let many = wasaga.run(&["outbox", "emit", r#"[{"topic": "refunds"}, {"topic": "orders"}]"#]);
    assert_eq!(many.stdout, "2\n3\n", "{}", many.stderr);
    let listed = wasaga.run(&["outbox", "find", "--topic", "orders", "--limit", "1"]).stdout;
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].starts_with("ID  STATUS  TOPIC"), "{listed}");
    assert!(lines[1].starts_with("3   wait    orders"), "{listed}");
    assert_eq!(lines[2], "more: --after 3");
    let found = wasaga.run(&["outbox", "find", "--key", "o-1", "--json"]).stdout;
    let found: Value = serde_json::from_str(&found).expect("it is JSON");
    assert_eq!((&found["events"][0]["id"], &found["next"]), (&1.into(), &Value::Null));
    let shown = wasaga.run(&["outbox", "show", "1"]).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("it is JSON");
    assert_eq!(shown["payload"]["cents"], 1200);
    for (command, says) in [
        (["show", "9"], "there is no message 9"),
        (["emit", "{}"], "missing field `topic`"),
        (["emit", r#"{"topic": "no topic"}"#], "no topic's name"),
        (["find", "--status=done"], "--status: \"done\" is no status"),
    ] {
        let refused = wasaga.run(&[&["outbox"], &command[..]].concat());
        assert!(refused.code == Some(1) && refused.stderr.contains(says), "{}", refused.stderr);
    }
}
