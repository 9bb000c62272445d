//! A host that runs and stops.

use std::{net::TcpListener, time::Duration};

use wasaga_services::process::{Signal, signal};
use wasaga_store::testing::database;

use crate::wasaga::Wasaga;

#[tokio::test]
async fn it_says_when_it_is_ready_and_stops_in_bounded_time() {
    let database = database().await;
    let plugins = std::env::temp_dir();
    let wasaga = Wasaga::new()
        .set("DATABASE_URL", &database.url)
        .set("SERVER_PORT", "0")
        .set("WASAGA_KAFKA__EMBEDDED", "true")
        .set("WASAGA_PLUGINS__DIR", plugins.join("wasaga-no-plugins").to_str().expect("text"));
    let mut host = wasaga.start();
    let get = async |path: &str| {
        let response = reqwest::get(format!("{}{path}", host.url)).await.expect("it answers");
        (response.status().as_u16(), response.text().await.expect("text"))
    };
    assert_eq!(get("/healthz").await.0, 200);
    let mut ready = get("/readyz").await;
    for _ in 0..100 {
        if ready.0 == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        ready = get("/readyz").await;
    }
    assert_eq!(ready.0, 200, "{}", ready.1);
    assert_eq!(get("/api/v1/plugins").await.1, r#"{"plugins":[],"rejections":[]}"#);
    let metrics = get("/metrics").await.1;
    assert!(metrics.contains("wasaga_http_request_seconds_bucket"), "{metrics}");

    signal(host.id(), Signal::TERM);
    assert_eq!(host.wait(Duration::from_secs(20)).code(), Some(0));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let database = database().await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let ended = Wasaga::new()
        .set("DATABASE_URL", &database.url)
        .set("SERVER_PORT", &port)
        .set("WASAGA_KAFKA__EMBEDDED", "true")
        .run(&["run"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&format!("127.0.0.1:{port}")), "{}", ended.stderr);
    assert!(ended.stderr.contains("server.port"), "{}", ended.stderr);
}
