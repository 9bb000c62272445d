//! What starts by the clock is listed.

use serde_json::json;
use wasaga_domain::{
    ids::Digest,
    ports::{ModuleStore, NewModule},
};

use crate::host::Host;

#[tokio::test]
async fn schedules_are_listed() {
    let host = Host::start().await;
    assert_eq!(host.get("/api/v1/schedules").await.json(), json!({ "schedules": [] }));

    let step = json!({ "name": "sweep", "timeout_ms": 1000, "retry": { "never": {} } });
    let manifest = json!({
        "name": "nightly", "version": "1.0.0", "steps": ["sweep"],
        "sagas": [{
            "name": "sweep", "version": 3, "steps": [step],
            "triggers": [{ "schedule": { "cron": "0 3 * * *", "misfire": "skip" } }],
        }],
    });
    let module = NewModule {
        digest: Digest::of(b"nightly"),
        bytes: b"nightly".to_vec(),
        manifest: serde_json::from_value(manifest).expect("the manifest fits"),
        sql: false,
        event_store: false,
    };
    host.store.activate(module).await.expect("it becomes active");
    let due = host.store.schedules_due(&[("sweep", 3)]).await.expect("the database answers");
    let third_night = wasaga_domain::clock::UnixMillis(183_600_000);
    host.store.schedule_advance(&due[0], third_night, None).await.expect("the database answers");
    assert_eq!(
        host.get("/api/v1/schedules").await.json(),
        json!({ "schedules": [{
            "definition": "sweep", "version": 3, "plugin": "nightly", "cron": "0 3 * * *",
            "misfire": "skip", "next_at": "1970-01-03T03:00:00Z", "last_at": null,
        }] })
    );
}
