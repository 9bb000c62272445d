//! Streams of events, page by page.

use serde_json::json;

use crate::host::Host;

#[tokio::test]
async fn a_streams_pages_follow_each_other() {
    let host = Host::start().await;
    host.database
        .run(
            "insert into wasaga.events (plugin, stream_id, version, event_type, content_type, payload, saga_id, created_at)
             select 'payment', 'account/7', n, 'paid', 'application/json', convert_to('{\"cents\": ' || n || '}', 'UTF8'),
                 '00000000-0000-4000-8000-000000000001', '2024-02-29Z'
             from generate_series(1, 5) n;
             insert into wasaga.events (plugin, stream_id, version, event_type, content_type, payload)
             values ('payment', 'account/8', 1, 'paid', 'text/plain', 'x'), ('other', 'account/7', 1, 'paid', '', '')",
        )
        .await;
    let path = "/api/v1/plugins/payment/streams/account%2F7/events";
    let first = host.get(&format!("{path}?limit=3")).await.json();
    let event = json!({
        "version": 1, "type": "paid", "payload": { "cents": 1 },
        "saga_id": "00000000-0000-4000-8000-000000000001", "created_at": "2024-02-29T00:00:00Z",
    });
    assert_eq!((&first["events"][0], &first["next"]), (&event, &json!(3)));
    assert_eq!(first["stream"], "account/7");
    let rest = host.get(&format!("{path}?after=3")).await.json();
    let versions: Vec<_> =
        rest["events"].as_array().unwrap().iter().map(|e| e["version"].clone()).collect();
    assert_eq!((versions, &rest["next"]), (vec![json!(4), json!(5)], &json!(null)));
    let whole = host.get(&format!("{path}?limit=5")).await.json();
    assert_eq!(whole["next"], json!(null));
    let text = host.get("/api/v1/plugins/payment/streams/account%2F8/events").await.json();
    assert_eq!(text["events"][0]["payload"]["content_type"], "text/plain");
    assert_eq!(text["events"][0]["saga_id"], json!(null));
    assert_eq!(
        host.get("/api/v1/plugins/payment/streams/none/events").await.json()["events"],
        json!([])
    );
}

#[tokio::test]
async fn what_is_no_page_is_refused() {
    let host = Host::start().await;
    let path = "/api/v1/plugins/payment/streams/a/events";
    for (query, says) in
        [("limit=0", "limit"), ("after=x", "after"), ("before=1", "known are after, limit")]
    {
        let problem = host.get(&format!("{path}?{query}")).await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    let nul = host.get("/api/v1/plugins/payment/streams/%00/events").await;
    assert_eq!(nul.problem(404)["type"], "urn:wasaga:problem:unknown-route");
}
