//! Guests' requests, sent for real to a server of the test's own.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasaga_domain::{
    attempt::Direction,
    clock::{Clock as _, SystemClock},
    outcome::{Failure, StepOutcome},
    ports::{CallKind, GuestHttp, StepCall},
};
use wasaga_egress::Egress;
use wasaga_plugin_host::{Grant, Grants, Options, PluginHost, SecretSource};

use crate::{
    http_server::{Server, nobody},
    stage::{self, call, component, does, failed, generous, output, rejection, report, resume},
};

const KEY: &str = "idempotency-key";

fn sending(options: Options) -> Options {
    let http: Arc<dyn GuestHttp> = Arc::new(Egress::new().expect("TLS"));
    Options { http: Some(http), ..options }
}

async fn probe(options: Options) -> Arc<PluginHost> {
    let host = stage::host(sending(options));
    host.install_local(component("probe-http-rust")).await.expect("it loads");
    host
}

fn granted(grant: Grant) -> Options {
    let plugins = [("probe-http".parse().expect("a name"), grant)].into();
    Options { grants: Grants { grant_all: false, plugins }, ..Options::default() }
}

/// All that the probe asks for.
fn all() -> Grant {
    let hosts = ["127.0.0.1:*", "localhost:*", "*.example.com"];
    Grant {
        http_hosts: hosts.map(|host| host.parse().expect("a host")).into(),
        http_private: true,
        topics: vec!["probe-http.*".into()],
        config: [("greeting".into(), "hello".into())].into(),
        secrets: [("token".into(), SecretSource::Given("tell-nobody".into()))].into(),
        ..Grant::default()
    }
}

fn asks(method: &str, url: &str, then: Option<Value>) -> Value {
    json!({ "do": "http", "method": method, "url": url, "then": then })
}

async fn run(host: &PluginHost, action: Value) -> Result<StepOutcome, Failure> {
    report(host, probe_call(action)).await.outcome
}

fn probe_call(action: Value) -> StepCall {
    call("probe-http", &does(action))
}

#[tokio::test]
async fn the_host_keys_what_asks_for_a_change() {
    let (server, host) = (Server::start().await, probe(granted(all())).await);
    let url = server.url("/a?b=c");
    let rest = asks("GET", &url, Some(asks("PUT", &url, None)));
    let mut call = probe_call(asks("post", &url, Some(rest)));
    call.attempt.traceparent = Some("00-1-2-01".into());
    let key = call.attempt.idempotency_key.clone();
    let told = report(&host, call).await;
    assert!(told.reached_out);
    let answer = output(told.outcome);
    assert_eq!((&answer["status"], &answer["kind"]), (&json!(201), &json!("echo")));
    assert_eq!(server.headers(KEY), [Some(key.clone()), None, Some(format!("{key}/2"))]);
    assert!(
        server.headers("traceparent").iter().all(|parent| parent.as_deref() == Some("00-1-2-01"))
    );
    assert!(server.requests()[0].starts_with("post /a?b=c http/1.1\n"));

    // What goes on after a wait is another request of the same attempt, whenever it is called again.
    let again = asks("POST", &url, None);
    let resumed = resume(&host, "probe-http", &again).await;
    for _ in 0..2 {
        output(report(&host, resumed.clone()).await.outcome);
    }
    let keys = server.headers(KEY);
    assert_eq!(keys[3], keys[4]);
    assert!(keys[3].as_ref().is_some_and(|other| other.starts_with(&key) && *other != key));

    let read = report(&host, probe_call(asks("GET", &url, None))).await;
    assert!(!read.reached_out, "who only reads changes nothing");
}

#[tokio::test]
async fn what_may_not_be_sent_is_denied_by_name() {
    let (server, mut options) = (Server::start().await, granted(all()));
    (options.limits.http_requests, options.limits.http_request_bytes) = (3, 1000);
    let host = probe(options).await;
    let url = server.url("/");
    let mut own = asks("POST", &url, None);
    own["headers"] = json!({ "Idempotency-Key": "mine" });
    let mut large = asks("POST", &url, None);
    large["body_bytes"] = json!(1001);
    let mut many = asks("POST", &url, None);
    many["headers"] = (0..51).map(|n| (format!("h{n}"), json!("v"))).collect::<Value>();
    for (action, told) in [
        (
            asks("POST", "https://api.other.com/", None),
            "add [plugins.probe-http] grant.http_hosts = [\"api.other.com\"]",
        ),
        (
            asks("POST", "https://api.example.com:8443/", None),
            "grant.http_hosts = [\"api.example.com:8443\"]",
        ),
        (asks("POST", "ftp://localhost/", None), "scheme ftp"),
        (asks("CONNECT", &url, None), "method \"CONNECT\""),
        (own, "header idempotency-key: the host sets it"),
        (large, "1001 bytes: limit 1000 bytes (plugins.guest_limits.http_request_bytes)"),
        (many, "51 headers: limit 50 (plugins.guest_limits.http_headers)"),
    ] {
        let report = report(&host, probe_call(action.clone())).await;
        assert!(!report.reached_out);
        let told_guest = output(report.outcome);
        assert_eq!(told_guest["error"], "http-denied", "{action}: {told_guest}");
        let message = told_guest["message"].as_str().expect("a message");
        assert!(message.contains(told), "{message}");
    }
    assert!(server.requests().is_empty());
    let many = (0..3).fold(asks("GET", &url, None), |then, _| asks("GET", &url, Some(then)));
    let told = output(run(&host, many).await);
    let limit = "limit 3 (plugins.guest_limits.http_requests)";
    assert_eq!(told["message"], format!("too many requests of one call: {limit}"));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_guest_that_fails_after_it_asked_for_a_change_may_have_made_it() {
    let (server, host) = (Server::start().await, probe(granted(all())).await);
    let (url, closed) = (server.url("/"), server.url("/closed"));
    let nobody = nobody().await;
    let trap = || Some(json!({ "do": "trap" }));
    let sends = || Some(json!({ "do": "done", "send": [{ "topic": "elsewhere" }] }));
    for (action, expected) in [
        (asks("POST", &url, trap()), ("unknown", "trap")),
        (asks("DELETE", &closed, trap()), ("unknown", "trap")),
        (asks("POST", &url, Some(json!({ "do": "oom" }))), ("unknown", "limit")),
        (asks("POST", &url, sends()), ("unknown", "denied")),
        (asks("GET", &url, trap()), ("retryable", "trap")),
        (asks("POST", &nobody, trap()), ("retryable", "trap")),
        (asks("POST", "https://api.other.com/", trap()), ("retryable", "trap")),
        (asks("GET", &url, sends()), ("permanent", "denied")),
    ] {
        let (class, code, message) = failed(run(&host, action.clone()).await);
        assert_eq!((class, &*code), expected, "{action}: {message}");
    }

    let mut waits = probe_call(asks("POST", &server.url("/silent"), trap()));
    waits.attempt.deadline = SystemClock.now().after(Duration::from_millis(500));
    let begun = Instant::now();
    let (class, ..) = failed(report(&host, waits).await.outcome);
    assert_eq!(class, "unknown");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_error_says_what_is_known() {
    let (server, host) = (Server::start().await, probe(granted(all())).await);
    let nobody = nobody().await;
    for (url, expected) in [
        (nobody, ("retryable", "http-not-sent")),
        (server.url("/closed"), ("unknown", "http-maybe-sent")),
        (server.url("/large"), ("unknown", "http-too-large")),
        (server.url("/silent"), ("unknown", "http-maybe-sent")),
    ] {
        let mut action = asks("POST", &url, None);
        (action["strict"], action["timeout_ms"]) = (json!(true), json!(1000));
        let (class, code, message) = failed(run(&host, action).await);
        assert_eq!((class, &*code), expected, "{url}: {message}");
    }
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let (server, mut options) = (Server::start().await, granted(all()));
    options.limits.http_response_bytes = 100;
    let host = probe(options).await;
    let told = output(run(&host, asks("GET", &server.url("/large"), None)).await);
    assert_eq!(told["error"], "http-too-large");
    let message = told["message"].as_str().expect("a message");
    let limit = "more than 100 bytes (plugins.guest_limits.http_response_bytes)";
    assert!(message.contains(limit), "{message}");
}

#[tokio::test]
async fn a_grant_of_one_phase_is_of_no_use_in_the_other() {
    let server = Server::start().await;
    let undo = Grant { http_hosts: all().http_hosts, http_private: true, ..Grant::default() };
    let forward = Grant { http_hosts: Vec::new(), http_private: false, ..all() };
    let host = probe(granted(Grant { compensate: Some(undo.into()), ..forward })).await;
    let action = asks("POST", &server.url("/"), None);
    let denied = output(run(&host, action.clone()).await);
    let told = "plugin probe-http is not granted HTTP while it executes: ";
    assert!(denied["message"].as_str().expect("a message").starts_with(told), "{denied}");
    assert!(server.requests().is_empty());

    let mut undoes = call("probe-http", &json!({ "undo": { "a": [action] } }));
    undoes.attempt.direction = Direction::Undo;
    undoes.kind = CallKind::Compensate { undo: None };
    assert_eq!(output(report(&host, undoes.clone()).await.outcome)["status"], json!(201));
    undoes.input =
        call("probe-http", &json!({ "undo": { "a": [{ "do": "imports", "message": "x" }] } }))
            .input;
    let seen = output(report(&host, undoes.clone()).await.outcome);
    assert_eq!((&seen["greeting"], &seen["token"]), (&json!(null), &json!(null)));
    let sends =
        json!({ "undo": { "a": [{ "do": "done", "send": [{ "topic": "probe-http.x" }] }] } });
    undoes.input = call("probe-http", &sends).input;
    let (.., message) = failed(report(&host, undoes).await.outcome);
    let told = "may not send to topic probe-http.x while it compensates: ";
    assert!(message.contains(told), "{message}");
    assert!(message.contains("grant.compensate.topics = [\"probe-http.x\"]"), "{message}");
}

#[tokio::test]
async fn nothing_a_guest_says_shows_its_secret() {
    let host = probe(granted(all())).await;
    let seen = output(run(&host, json!({ "do": "imports", "message": "x" })).await);
    assert_eq!(seen["token"], json!("tell-nobody".len()), "it has it");
    for (trap, told) in [(false, "it fails with ***"), (true, "it panics with ***")] {
        let failure =
            run(&host, json!({ "do": "blab", "trap": trap })).await.expect_err("a failure");
        let detail = failure.detail();
        assert!(detail.message.contains(told), "{}", detail.message);
        let data =
            detail.data.as_ref().map(|data| String::from_utf8_lossy(&data.data).into_owned());
        for said in [&detail.code, &detail.message, &data.unwrap_or_default()] {
            assert!(!said.contains("tell-nobody"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_plugin_without_its_grants_is_refused() {
    let refused = |options: Options| async {
        let host = stage::host(options);
        rejection(host.install_local(component("probe-http-rust")).await)
    };
    let reason =
        refused(sending(granted(Grant { http_hosts: Vec::new(), http_private: false, ..all() })))
            .await;
    assert_eq!(
        reason,
        "plugin probe-http asks for HTTP to 127.0.0.1:*, which is not granted: add [plugins.probe-http] \
         grant.http_hosts = [\"127.0.0.1:*\"]"
    );
    let reason = refused(sending(granted(Grant { secrets: BTreeMap::new(), ..all() }))).await;
    assert!(reason.contains("grant.secrets.token = { file = \"…\" }"), "{reason}");
    let missing = [("token".into(), SecretSource::File("no/such/file".into()))].into();
    let reason = refused(sending(granted(Grant { secrets: missing, ..all() }))).await;
    assert!(reason.contains("secret token: no/such/file can't be read"), "{reason}");
    let reason = refused(generous()).await;
    assert!(reason.contains("this host sends nothing"), "{reason}");
}
