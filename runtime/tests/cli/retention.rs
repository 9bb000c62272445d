//! A host that is told how long to keep what has ended.

use std::time::Duration;

use wasaga_store::testing::database;

use crate::wasaga::Wasaga;

#[tokio::test]
async fn a_host_removes_what_has_ended() {
    let database = database().await;
    database
        .run(
            "insert into wasaga.sagas (id, definition, version, business_key, nonce, input_type, input, epoch, status,
                 state, created_at, updated_at)
             values (gen_random_uuid(), 'order', 1, 'o-1', 0, 'application/json', '{}', 0, 'completed',
                 '{\"course\": \"completed\"}', now() - interval '3 days', now() - interval '2 days')",
        )
        .await;
    let wasaga = Wasaga::new()
        .set("DATABASE_URL", &database.url)
        .set("SERVER_PORT", "0")
        .set("WASAGA_KAFKA__ENABLED", "false")
        .set("WASAGA_RETENTION__KEEP", "1d")
        .set("WASAGA_RETENTION__ARCHIVE", "false");
    let host = wasaga.start();
    let left = "select count(*)::text from wasaga.sagas";
    for _ in 0..200 {
        if database.texts(left).await == [Some("0".into())] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(database.texts(left).await, [Some("0".into())]);
    let metrics = reqwest::get(format!("{}/metrics", host.url)).await.expect("it answers");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("wasaga_sagas_removed_total{how=\"dropped\"} 1"), "{metrics}");
    assert!(metrics.contains("wasaga_sagas_ended_oldest_seconds"), "{metrics}");
}
