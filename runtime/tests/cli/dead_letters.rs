//! `wasaga dead-letters`, on a database that no host works on.

use serde_json::{Value, json};
use wasaga_store::testing::{TestDatabase, database};

use crate::wasaga::{Ended, Wasaga};

async fn letters() -> (TestDatabase, Wasaga) {
    let database = database().await;
    database
        .run(
            "insert into wasaga.dead_letter_in (task_id, reason, attempts, cluster, topic, partition, \"offset\", key,
                 headers, value)
             select n, '{\"code\": \"trap\", \"message\": \"m\"}', 10, 'c', 'orders', 0, n, convert_to('k-' || n, 'UTF8'),
                 '[]', '{\"price\": 1}'
             from generate_series(1, 3) as n",
        )
        .await;
    let wasaga = Wasaga::new().set("DATABASE_URL", &database.url).set("USER", "ada");
    (database, wasaga)
}

fn done(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

#[tokio::test]
async fn letters_are_listed_mended_redriven_and_discarded() {
    let (database, wasaga) = letters().await;
    let run = |arguments: &[&str]| wasaga.run(&[&["dead-letters"], arguments].concat());
    let list = done(run(&["list", "in", "--limit", "2"]));
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("LETTER") && lines[1].starts_with("3 "), "{list}");
    assert!(lines[1].contains("orders") && lines[1].contains("k-3") && lines[1].contains("trap"));
    assert_eq!(lines[3], "more: --after 2", "{list}");
    assert!(!done(run(&["list", "in", "--key", "k-1"])).contains("k-3"));
    assert!(done(run(&["show", "in", "1"])).contains("{\"json\":{\"price\":1}}"));

    let edited = done(run(&["edit", "in", "1", "--value", "{}", "--header", "a=b", "--json"]));
    let edited: Value = serde_json::from_str(&edited).unwrap();
    assert_eq!(
        (&edited["value"], &edited["headers"]),
        (&json!({"json": {}}), &json!([["a", "b"]]))
    );
    assert_eq!(edited["verbs"][0]["by"], "ada");
    let redriven = done(run(&["redrive", "in", "1", "2"]));
    assert_eq!(redriven, "dead letter 1 is task 1 now\ndead letter 2 is task 2 now\n");
    let tasks = "select convert_from(value, 'UTF8') from wasaga.task_in order by id";
    let expected = ["{}", "{\"price\": 1}"].map(|value| Some(value.to_owned()));
    assert_eq!(database.texts(tasks).await, expected);
    done(run(&["discard", "in", "3", "--reason", "nobody wants it"]));

    for (arguments, says) in [
        (&["redrive", "in", "1"][..], "was redriven, which is final"),
        (&["discard", "in", "2"], "say why"),
        (&["edit", "in", "3", "--no-key"], "was discarded, which is final"),
        (&["edit", "in", "3"], "nothing is to be changed"),
        (&["edit", "in", "3", "--topic", "t"], "leave it out"),
        (&["show", "out", "1"], "no dead letter 1 of the flow out"),
        (&["list", "lost"], "there are in and out"),
        (&["list", "in", "--status", "open"], "--status: \"open\" is no status"),
    ] {
        let ended = run(arguments);
        assert!(ended.code.is_some_and(|code| code != 0), "{arguments:?}: {}", ended.stdout);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }
}
