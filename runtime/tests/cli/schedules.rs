//! `wasaga schedules list`.

use serde_json::json;
use wasaga_domain::{
    ids::Digest,
    ports::{ModuleStore, NewModule},
};
use wasaga_store::testing::database;

use crate::wasaga::Wasaga;

#[tokio::test]
async fn schedules_are_listed() {
    let database = database().await;
    let wasaga = Wasaga::new().set("DATABASE_URL", &database.url);
    let none = wasaga.run(&["schedules", "list"]);
    assert_eq!(none.stdout, "DEFINITION  CRON  NEXT  LAST  MISFIRE\n", "{}", none.stderr);

    let step = json!({ "name": "sweep", "timeout_ms": 1000, "retry": { "never": {} } });
    let manifest = json!({
        "name": "nightly", "version": "1.0.0", "steps": ["sweep"],
        "sagas": [{
            "name": "sweep", "version": 1, "steps": [step],
            "triggers": [{ "schedule": { "cron": "0 3 * * *", "misfire": "all" } }],
        }],
    });
    let module = NewModule {
        digest: Digest::of(b"nightly"),
        bytes: b"nightly".to_vec(),
        manifest: serde_json::from_value(manifest).expect("the manifest fits"),
        sql: false,
        event_store: false,
    };
    database.store.activate(module).await.expect("it becomes active");
    let listed = wasaga.run(&["schedules", "list"]);
    assert_eq!(
        listed.stdout,
        "DEFINITION  CRON       NEXT  LAST  MISFIRE\nsweep       0 3 * * *  -     -     all\n"
    );
}
