//! `wasaga saga`, on a database that no host works on.

use serde_json::{Value, json};
use wasaga_store::testing::{TestDatabase, database};

use crate::wasaga::{Ended, Wasaga};

const LIVE: &str = "00000000-0000-4000-8000-000000000001";
const ENDED: &str = "00000000-0000-4000-8000-000000000002";

struct Cli {
    database: TestDatabase,
    wasaga: Wasaga,
}

/// Two sagas: one that waits, and an older one that has ended.
async fn cli() -> Cli {
    let database = database().await;
    database
        .run(&format!(
            "insert into wasaga.sagas (id, definition, version, business_key, nonce, input_type, input, epoch, status,
                 state, sequence, created_at)
             values ('{LIVE}', 'order', 1, 'o-1', 0, 'application/json', '{{\"customer\": \"c-1\"}}', 0, 'waiting',
                     '{{\"course\": \"forward\"}}', 0, now()),
                 ('{ENDED}', 'order', 1, 'o-2', 0, 'application/json', '{{\"customer\": \"c-2\"}}', 0, 'failed',
                     '{{\"course\": {{\"failed\": {{\"code\": \"out-of-stock\", \"message\": \"none\"}}}}}}', 1,
                     now() - interval '2 hours');
             insert into wasaga.journal (saga_id, number, kind, direction, step, attempt, started_at, at, error)
             values ('{ENDED}', 1, 'failed', 'forward', 'reserve', 1, now(), now(),
                 '{{\"code\": \"out-of-stock\", \"message\": \"none\"}}')"
        ))
        .await;
    let wasaga = Wasaga::new().set("DATABASE_URL", &database.url).set("USER", "ada");
    Cli { database, wasaga }
}

impl Cli {
    fn run(&self, arguments: &[&str]) -> Ended {
        self.wasaga.run(&[&["saga"], arguments].concat())
    }

    fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    fn refused(&self, arguments: &[&str], says: &str) {
        let ended = self.run(arguments);
        assert!(ended.code.is_some_and(|code| code != 0), "{arguments:?}: {}", ended.stdout);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }

    async fn mail(&self) -> Vec<Value> {
        let mail =
            self.database.texts("select content::text from wasaga.mail order by number").await;
        let parse =
            |text: Option<String>| serde_json::from_str(&text.expect("text")).expect("JSON");
        mail.into_iter().map(parse).collect()
    }
}

#[tokio::test]
async fn sagas_are_listed_and_shown() {
    let cli = cli().await;
    let all = cli.done(&["list"]);
    let lines: Vec<_> = all.lines().collect();
    assert!(lines[0].starts_with("SAGA"), "{all}");
    assert!(lines[1].starts_with(LIVE) && lines[1].contains("waiting"), "{all}");
    assert!(lines[2].starts_with(ENDED) && lines[2].contains("o-2"), "{all}");
    for filter in [
        ["--status", "failed"],
        ["--older-than", "1h"],
        ["--input", "/customer=c-2"],
        ["--step", "reserve"],
    ] {
        let found = cli.done(&["list", filter[0], filter[1]]);
        assert!(!found.contains(LIVE), "{found}");
        assert_eq!(found.contains(ENDED), filter[0] != "--step", "{found}");
    }
    let keyed = cli.done(&["list", "--definition", "order", "--business-key", "nothing", "--json"]);
    let keyed: Value = serde_json::from_str(&keyed).expect("JSON");
    assert_eq!(keyed, json!({ "sagas": [], "next": null }));

    let first = cli.done(&["list", "--limit", "1"]);
    let after = first.rsplit("--after ").next().expect("a cursor").trim();
    assert!(cli.done(&["list", "--after", after]).contains(ENDED), "{first}");

    assert!(cli.done(&["show", ENDED]).contains("out-of-stock"));
    let shown: Value = serde_json::from_str(&cli.done(&["--json", "show", ENDED])).expect("JSON");
    assert_eq!(
        (&shown["status"], &shown["context"]["customer"]),
        (&json!("failed"), &json!("c-2"))
    );
    assert!(cli.done(&["history", ENDED]).contains("out-of-stock: none"));
    let history = cli.done(&["history", ENDED, "--json"]);
    let history: Value = serde_json::from_str(&history).expect("JSON");
    assert_eq!(history["events"][0]["step"], "reserve");

    cli.refused(&["show", "o-1"], "not a UUID");
    cli.refused(&["list", "--status", "done"], "--status: \"done\" is no status");
    cli.refused(&["list", "--input", "customer"], "/a/b=c");
}

#[tokio::test]
async fn what_is_asked_says_who_and_why() {
    let cli = cli().await;
    let asked = cli.done(&["cancel", LIVE, "--reason", "the warehouse burns"]);
    assert_eq!(asked, format!("{LIVE} (waiting): cancel is posted\n"));
    cli.done(&["pause", LIVE, "--by", "grace"]);
    cli.done(&["retry", LIVE, "reserve"]);
    cli.done(&["skip", LIVE, "reserve"]);
    cli.done(&["supply-undo", LIVE, "reserve", "--undo", "{\"id\": 7}"]);
    cli.done(&["signal", LIVE, "approved", "5"]);
    let json: Value = serde_json::from_str(&cli.done(&["resume", LIVE, "--json"])).expect("JSON");
    assert_eq!(json, json!({ "saga_id": LIVE, "status": "waiting" }));

    let mail = cli.mail().await;
    let cancel =
        json!({ "verb": "cancel", "by": { "by": "ada", "reason": "the warehouse burns" } });
    assert_eq!(mail[0], cancel);
    assert_eq!(mail[1]["by"], json!({ "by": "grace", "reason": "pause on the command line" }));
    assert_eq!(mail[2]["verb"], json!({ "retry": { "step": "reserve" } }));
    assert_eq!(mail[3]["verb"], json!({ "skip": { "step": "reserve" } }));
    assert_eq!(mail[4]["verb"]["supply_undo"]["step"], "reserve");
    assert_eq!(mail.len(), 7);

    cli.refused(&["cancel", ENDED, LIVE], "is failed, which is final");
    assert_eq!(cli.mail().await.len(), 8, "the other one was asked all the same");
    cli.refused(&["signal", LIVE, "approved", "{"], "not JSON");
}

#[tokio::test]
async fn sagas_are_moved_to_another_version() {
    let cli = cli().await;
    let definition = |version: u32, step: &str| {
        json!({ "name": "order", "version": version,
            "steps": [{ "name": step, "timeout_ms": 1000, "retry": { "never": {} } }] })
    };
    cli.database
        .run(&format!(
            "insert into wasaga.modules (digest, plugin, version, manifest, bytes)
             values (sha256('m'), 'order-saga', '1', '{{}}', '');
             insert into wasaga.definitions (name, version, plugin, content, digest)
             values ('order', 1, 'order-saga', '{}', sha256('m')), ('order', 2, 'order-saga', '{}', sha256('m'));
             update wasaga.sagas set state = '{{\"course\": \"forward\", \"open\": [{{\"step\": 0, \"attempt\": 1,
                 \"since\": 0, \"activity\": \"run\"}}]}}' where id = '{LIVE}'",
            definition(1, "reserve"),
            definition(2, "hold"),
        ))
        .await;
    let why = format!(
        "{LIVE} (version 1): its step \"reserve\" has begun, and version 2 has no step \"reserve\""
    );
    let refused = cli.run(&["migrate", "order", "--to", "2"]);
    assert_eq!(
        (refused.code, refused.stdout.lines().next()),
        (Some(1), Some(&*why)),
        "{}",
        refused.stderr
    );
    let map =
        ["migrate", "order", "--to", "2", "--from", "1", "--id", LIVE, "--map", "reserve=hold"];
    assert_eq!(
        cli.done(&[&map[..], &["--dry-run"]].concat()),
        "1 fit, 0 asked, 0 can't be moved\n"
    );
    assert!(cli.mail().await.is_empty());
    assert_eq!(cli.done(&map), "1 fit, 1 asked, 0 can't be moved\n");
    let verb = json!({ "migrate": { "to": 2, "map": { "reserve": "hold" } } });
    let by = json!({ "by": "ada", "reason": "migrate on the command line" });
    assert_eq!(cli.mail().await, [json!({ "verb": verb, "by": by })]);
    let json = cli.done(&["--json", "migrate", "order", "--to", "2", "--from", "7"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["matched"], &json["refused"]), (&json!(0), &json!([])));
    cli.refused(&["migrate", "order", "--to", "3"], "version 3 is not in wasaga.definitions");
    cli.refused(&["migrate", "order", "--to", "2", "--map", "reserve"], "OLD=NEW");
}
