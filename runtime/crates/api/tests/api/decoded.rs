//! What values hold by the codecs of their topics, beside their bytes.

use serde_json::{Value, json};

use crate::host::Host;

/// What is said of a value: decoded, and why it is not.
fn said(shown: &Value) -> (Option<&Value>, Option<&str>) {
    (shown.get("decoded"), shown.get("decoded_error").and_then(Value::as_str))
}

#[tokio::test]
async fn letters_show_what_their_values_hold() {
    let host = Host::start().await;
    host.database
        .run(
            "insert into wasaga.dead_letter_in (task_id, reason, attempts, cluster, topic, partition, \"offset\", key,
                 headers, value)
             select n, '{\"code\": \"trap\", \"message\": \"m\"}', 1, 'c', case n when 5 then 'plain' else 'coded' end, 0, n,
                 null, '[]', convert_to(case n when 1 then 'x{\"price\": 1.50}' when 2 then 'z' when 3 then 'y{}'
                     when 5 then '{}' end, 'UTF8')
             from generate_series(1, 5) as n",
        )
        .await;
    let shown = host.get("/api/v1/dead-letters/in/1").await;
    assert!(shown.text.contains("\"decoded\":{\"price\": 1.50}"), "digit by digit: {}", shown.text);
    assert_eq!(shown.json()["value"], json!({ "text": "x{\"price\": 1.50}" }));
    for (letter, expected) in [
        (2, (None, Some("it has no x"))),
        (3, (None, Some("the schema registry has not answered yet: try again"))),
        (4, (None, None)),
        (5, (None, None)),
    ] {
        let shown = host.get(&format!("/api/v1/dead-letters/in/{letter}")).await.json();
        assert_eq!(said(&shown), expected, "{letter}");
    }
    let edit = json!({ "value": { "text": "x[7]" } });
    let edited = host.patch("/api/v1/dead-letters/in/2", &edit).await.json();
    assert_eq!(said(&edited), (Some(&json!([7])), None));
    assert_eq!(said(&edited["original"]), (None, Some("it has no x")));

    let edit = json!({ "value": { "text": "{}" }, "headers": [] });
    host.patch("/api/v1/dead-letters/in/1", &edit).await;
    let edited = host.get("/api/v1/dead-letters/in/1").await;
    assert!(edited.text.contains("\"decoded\":{\"price\": 1.50}"), "{}", edited.text);
    let edited = edited.json();
    assert_eq!(said(&edited), (None, Some("it has no x")));
    assert_eq!(said(&edited["original"]), (Some(&json!({ "price": 1.5 })), None));
}

#[tokio::test]
async fn what_a_letter_was_is_read_by_the_codec_of_the_topic_that_it_had() {
    let host = Host::start().await;
    host.database
        .run(
            "insert into wasaga.dead_letter_out (task_id, reason, attempts, message_id, topic, headers, value)
             values (1, '{\"code\": \"kafka-unknown-topic\", \"message\": \"m\"}', 3, gen_random_uuid(), 'coded', '[]', 'x[7]')",
        )
        .await;
    let elsewhere = json!({ "topic": "plain" });
    let moved = host.patch("/api/v1/dead-letters/out/1", &elsewhere).await.json();
    assert_eq!((&moved["topic"], &moved["original"]["topic"]), (&json!("plain"), &json!("coded")));
    assert_eq!(said(&moved), (None, None));
    assert_eq!(said(&moved["original"]), (Some(&json!([7])), None));
}

#[tokio::test]
async fn messages_show_what_their_values_hold() {
    let host = Host::start().await;
    for (topic, value, expected) in [
        ("coded", Some("eHsiYSI6IDF9"), (Some(json!({ "a": 1 })), None)),
        ("coded", Some("eg=="), (None, Some("it has no x"))),
        ("coded", None, (None, None)),
        ("plain", Some("/w=="), (None, None)),
    ] {
        let message = json!({ "topic": topic, "payload_bytes": value });
        let id = host.post("/api/v1/events", &message).await.json()["id"].clone();
        let shown = host.get(&format!("/api/v1/events/{id}")).await.json();
        assert_eq!(said(&shown), (expected.0.as_ref(), expected.1), "{message}");
        let page = host.get("/api/v1/events").await.json();
        assert_eq!(said(&page["events"][0]), (None, None), "a page has no values");
    }
}
