//! The import `http` as each SDK has it: the step `call` of plugins/testing/sdk-*.

use std::sync::Arc;

use serde_json::json;
use wasaga_domain::{
    clock::SystemClock,
    ports::{GuestDatabase, GuestHttp},
};
use wasaga_egress::Egress;
use wasaga_plugin_host::{Options, PluginHost};

use crate::{
    database::Database,
    http_server::{Server, nobody},
    stage::{call, component, failed, generous, output, report},
};

async fn calls_out(language: &str) {
    let name = format!("sdk-{language}");
    let database: Arc<dyn GuestDatabase> = Arc::new(Database::default());
    let http: Arc<dyn GuestHttp> = Arc::new(Egress::new().expect("TLS"));
    let options = Options { http: Some(http), ..generous() };
    let host =
        PluginHost::new(options, None, Some(database), Arc::new(SystemClock)).expect("a host");
    host.install_local(component(&name)).await.expect("it loads");
    let server = Server::start().await;
    let asked = |url: &str, timeout_ms: u64| {
        let mut call = call(&name, &json!({ "url": url, "timeout_ms": timeout_ms }));
        call.attempt.step = "call".into();
        call
    };

    let answer = output(report(&host, asked(&server.url("/"), 30_000)).await.outcome);
    assert_eq!(answer["status"], 201);
    assert_eq!(answer["kind"], "echo");
    let body = answer["body"].as_str().expect("text").replace(": ", ":");
    assert_eq!(body, r#"{"cents":5}"#);
    let sent = &server.requests()[0];
    for line in ["post / http/1.1\n", "\nx-asked: yes\n", "\ncontent-type: application/json\n"] {
        assert!(sent.contains(line), "{line} is not in {sent}");
    }
    assert!(server.headers("idempotency-key")[0].is_some());

    for (url, expected) in [
        ("https://api.other.com/".to_owned(), ("permanent", "http-denied")),
        (nobody().await, ("retryable", "http-not-sent")),
        (server.url("/silent"), ("unknown", "http-maybe-sent")),
        (server.url("/large"), ("unknown", "http-too-large")),
    ] {
        let timeout_ms = if url.ends_with("/silent") { 200 } else { 30_000 };
        let (class, code, message) = failed(report(&host, asked(&url, timeout_ms)).await.outcome);
        assert_eq!((class, &*code), expected, "{url}: {message}");
    }
}

#[tokio::test]
async fn c() {
    calls_out("c").await;
}

#[tokio::test]
async fn go() {
    calls_out("go").await;
}

#[tokio::test]
async fn javascript() {
    calls_out("javascript").await;
}

#[tokio::test]
async fn python() {
    calls_out("python").await;
}
