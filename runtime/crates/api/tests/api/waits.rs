//! Starts that wait for their ends. Nothing runs here: sagas are ended by SQL, as another host would end them.

use std::{sync::atomic::Ordering, time::Duration};

use axum::http::Request;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use wasaga_domain::ids::SagaId;

use crate::host::{Answer, Host};

const PATIENCE: Duration = Duration::from_secs(20);

fn order(key: &str) -> Value {
    json!({ "order_id": key, "customer_id": "c", "items": [] })
}

fn saga(key: &str) -> SagaId {
    SagaId::derived("order", key)
}

/// An order that waits.
fn waiting(host: &Host, key: &str, wait: &str) -> JoinHandle<Answer> {
    let request = Request::post(format!("/api/v1/orders?wait={wait}"))
        .header("content-type", "application/json");
    tokio::spawn(host.call(request.body(order(key).to_string().into()).unwrap()))
}

async fn answered(waiting: JoinHandle<Answer>) -> Answer {
    timeout(PATIENCE, waiting).await.expect("it is answered in time").expect("it does not fail")
}

/// Waits until a question for ends fits.
async fn until_asked(host: &Host, fits: impl Fn(&[SagaId]) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !host.broken.asked_for.lock().unwrap().iter().any(|asked| fits(asked)) {
        assert!(Instant::now() < end, "it was never asked for");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What another host would commit at the end.
async fn end(host: &Host, key: &str, status: &str, state: &str) {
    let id = saga(key);
    host.database
        .run(&format!(
            "update wasaga.sagas set status = '{status}', state = '{state}', sequence = 2, host_id = null
             where id = '{id}'"
        ))
        .await;
}

/// Kind, direction, step, attempt, times, output and error.
async fn entry(host: &Host, key: &str, number: u8, values: &str) {
    let id = saga(key);
    host.database
        .run(&format!(
            "insert into wasaga.journal (saga_id, number, kind, direction, step, attempt, started_at, at, output_type,
                 output, error)
             values ('{id}', {number}, {values})"
        ))
        .await;
}

#[tokio::test]
async fn it_is_answered_with_the_end_that_another_host_committed() {
    let host = Host::start().await;
    let order = waiting(&host, "o-1", "30s");
    until_asked(&host, |asked| asked == [saga("o-1")]).await;
    entry(
        &host,
        "o-1",
        1,
        "'succeeded', 'forward', 'reserve_inventory', 1, now(), now(), 'application/json',
         '{\"held\": 10000000000000000000001}', null",
    )
    .await;
    end(&host, "o-1", "completed", r#"{"course": "completed"}"#).await;
    let answer = answered(order).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        answer.text.contains(r#""output":{"held": 10000000000000000000001}"#),
        "{}",
        answer.text
    );
    let end = answer.json();
    assert_eq!((&end["status"], &end["order_id"]), (&json!("completed"), &json!("o-1")));
    assert_eq!(end["saga_id"], json!(saga("o-1")));
    assert_eq!(end["outputs"]["reserve_inventory"], end["output"]);
    assert_eq!(end.get("error"), None);

    let again = host.post("/api/v1/orders?wait=30s", &self::order("o-1")).await;
    assert_eq!((again.status, again.json()), (200, end));
}

#[tokio::test]
async fn a_failure_carries_its_cause_and_every_undo_that_gave_up() {
    let host = Host::start().await;
    let order = waiting(&host, "o-1", "30s");
    until_asked(&host, |asked| asked == [saga("o-1")]).await;
    for (number, step) in [(1, "pay"), (2, "reserve_inventory")] {
        entry(
            &host,
            "o-1",
            number,
            &format!(
                "'failed', 'undo', '{step}', 3, now(), now(), null, null,
                 '{{\"code\": \"{step}-stuck\", \"message\": \"no\"}}'"
            ),
        )
        .await;
    }
    let state = r#"{"course": {"undo": {"code": "out-of-stock", "message": "none left"}},
        "attention": {"code": "undo-failed", "message": "look"}}"#;
    end(&host, "o-1", "needs_attention", state).await;
    let answer = answered(order).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let end = answer.json();
    assert_eq!(end["status"], "needs_attention");
    assert_eq!(end["error"]["code"], "undo-failed");
    assert_eq!(end["cause"]["code"], "out-of-stock");
    let undo = |place: usize| {
        (&end["undo_errors"][place]["step"], &end["undo_errors"][place]["error"]["code"])
    };
    assert_eq!(undo(0), (&json!("pay"), &json!("pay-stuck")));
    assert_eq!(undo(1), (&json!("reserve_inventory"), &json!("reserve_inventory-stuck")));
}

#[tokio::test]
async fn when_time_is_up_it_is_answered_with_the_id() {
    let host = Host::start().await;
    host.post("/api/v1/orders", &order("o-1")).await;
    host.database.run("update wasaga.sagas set status = 'waiting'").await;
    let answer = host.post("/api/v1/orders?wait=50ms", &order("o-1")).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let started = answer.json();
    assert_eq!((&started["status"], &started["order_id"]), (&json!("waiting"), &json!("o-1")));
    assert_eq!(started["message"], "Order creation started");

    let start = json!({ "definition": "order", "business_key": "o-1", "input": order("o-1") });
    let named = host.post("/api/v1/sagas?wait=0s", &start).await;
    assert_eq!((named.status, &named.json()["business_key"]), (202, &json!("o-1")));
}

#[tokio::test]
async fn news_of_this_host_needs_no_question() {
    let host = Host::start().await;
    let order = waiting(&host, "o-1", "30s");
    until_asked(&host, |asked| asked == [saga("o-1")]).await;
    host.broken.down.store(true, Ordering::Relaxed);
    end(
        &host,
        "o-1",
        "compensated",
        r#"{"course": {"compensated": {"code": "no", "message": ""}}}"#,
    )
    .await;
    host.ends.tell(saga("o-1"));
    let answer = answered(order).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!("no")));
}

#[tokio::test]
async fn all_that_wait_share_one_question() {
    const MANY: usize = 200;
    let host = Host::start().await;
    let orders: Vec<_> = (0..MANY).map(|n| waiting(&host, &n.to_string(), "60s")).collect();
    until_asked(&host, |asked| asked.len() == MANY).await;
    let polls = |asked: &Vec<Vec<SagaId>>| asked.iter().filter(|asked| asked.len() > 1).count();
    let (began, before) = (Instant::now(), polls(&host.broken.asked_for.lock().unwrap()));
    host.database
        .run(
            "update wasaga.sagas set status = 'completed', state = '{\"course\": \"completed\"}', host_id = null",
        )
        .await;
    for order in orders {
        assert_eq!(answered(order).await.status, 200);
    }
    let polled = polls(&host.broken.asked_for.lock().unwrap()) - before;
    let most = began.elapsed().as_millis() / 250 + 1;
    assert!(polled as u128 <= most, "{polled} questions in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_went_away_is_not_asked_for() {
    let host = Host::start().await;
    let (gone, stays) = (waiting(&host, "gone", "60s"), waiting(&host, "stays", "60s"));
    until_asked(&host, |asked| asked.len() == 2).await;
    gone.abort();
    assert!(gone.await.is_err_and(|error| error.is_cancelled()));
    host.broken.asked_for.lock().unwrap().clear();
    until_asked(&host, |asked| asked == [saga("stays")]).await;
    stays.abort();
}

#[tokio::test]
async fn a_host_that_stops_keeps_nobody_waiting() {
    let host = Host::start().await;
    let order = waiting(&host, "o-1", "60s");
    until_asked(&host, |asked| asked == [saga("o-1")]).await;
    host.stop.cancel();
    assert_eq!(answered(order).await.status, 202);
}

#[tokio::test]
async fn a_wait_has_bounds_and_a_refused_one_starts_nothing() {
    let host = Host::start().await;
    for (query, says) in [
        ("wait=61s", "at most 60s"),
        ("wait=soon", "write it as"),
        ("wait=-1s", "write it as"),
        ("wait=", "write it as"),
        ("wiat=1s", "only wait"),
    ] {
        for path in ["/api/v1/orders", "/api/v1/sagas"] {
            let problem = host.post(&format!("{path}?{query}"), &order("o-1")).await.problem(400);
            assert_eq!(problem["type"], "urn:wasaga:problem:bad-parameter");
            assert!(problem["detail"].as_str().unwrap().contains(says), "{query}: {problem}");
        }
    }
    assert_eq!(host.store.queue_depths().await.expect("counts").sagas_leased, 0);
}
