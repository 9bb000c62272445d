//! Guests' SQL on a database that only counts what it is asked.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wasaga_domain::{
    clock::{Clock as _, SystemClock},
    outcome::StepOutcome,
    ports::{CallKind, GuestDatabase, StepReport},
};
use wasaga_plugin_host::PluginHost;

use crate::{
    database::Database,
    stage::{call, component, does, failed, generous, output, report, resume},
};

async fn host(database: &Arc<Database>) -> Arc<PluginHost> {
    let database: Arc<dyn GuestDatabase> = database.clone();
    let clock = Arc::new(SystemClock);
    let host = PluginHost::new(generous(), None, Some(database), clock).expect("a host");
    host.install_local(component("probe-sql-rust")).await.expect("it loads");
    host
}

async fn sql(host: &PluginHost, action: Value) -> StepReport {
    report(host, call("probe-sql", &does(action))).await
}

#[tokio::test]
async fn a_transaction_begins_with_the_first_statement_and_goes_with_a_good_end() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let without = sql(&host, json!({"do": "done"})).await;
    assert!(without.transaction.is_none() && without.outcome.is_ok());
    assert_eq!(database.begun.load(Ordering::Relaxed), 0);
    let with = sql(&host, json!({"do": "sql", "execute": ["a", "b"], "query": "q"})).await;
    assert!(with.transaction.is_some());
    assert_eq!(output(with.outcome)["touched"], json!([1, 1]));
    assert_eq!(database.begun.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn it_is_rolled_back_with_any_other() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    for (then, code) in [("permanent", "scripted"), ("trap", "trap")] {
        let action = json!({"do": "sql", "execute": ["a"], "then": {"do": then}});
        let report = sql(&host, action).await;
        assert!(report.transaction.is_none());
        assert_eq!(failed(report.outcome).1, code);
    }
    let mut rejected = call("probe-sql", &json!({"guards": {"a": ["reject"]}}));
    rejected.kind = CallKind::Execute { guarded: true };
    let rejected = report(&host, rejected).await;
    assert!(matches!(rejected.outcome, Ok(StepOutcome::Rejected(_))));
    assert_eq!(database.rolled_back.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_error_is_the_guests_to_handle() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let told = output(sql(&host, json!({"do": "sql", "execute": ["fail"]})).await.outcome);
    assert_eq!(told, json!({"code": "23505", "message": "duplicate key"}));
}

/// Whatever the guest makes of the error it is told: its transaction is lost, and so is the attempt.
#[tokio::test]
async fn a_statement_ends_by_the_deadline() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let mut sleeps = call("probe-sql", &does(json!({"do": "sql", "execute": ["sleep"]})));
    sleeps.attempt.deadline = SystemClock.now().after(Duration::from_millis(200));
    let begun = Instant::now();
    let report = report(&host, sleeps).await;
    assert!(report.transaction.is_none());
    let (class, code, _) = failed(report.outcome);
    assert_eq!((class, code.as_str()), ("retryable", "timeout"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(database.rolled_back.load(Ordering::Relaxed), 1);
}

/// Its transaction is lost, but what it sent before the wait is not.
#[tokio::test]
async fn after_a_wait_a_lost_statement_may_have_happened() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let mut sleeps = resume(&host, "probe-sql", &json!({"do": "sql", "execute": ["sleep"]})).await;
    sleeps.attempt.deadline = SystemClock.now().after(Duration::from_millis(200));
    let report = report(&host, sleeps).await;
    assert!(report.transaction.is_none());
    let (class, code, _) = failed(report.outcome);
    assert_eq!((class, code.as_str()), ("unknown", "timeout"));
}

#[tokio::test]
async fn a_guest_with_sql_that_spins_ends_at_its_deadline() {
    let database = Arc::new(Database::default());
    let host = host(&database).await;
    let action = json!({"do": "sql", "execute": ["a"], "then": {"do": "spin"}});
    let mut spins = call("probe-sql", &does(action));
    spins.attempt.deadline = SystemClock.now().after(Duration::from_millis(200));
    let report = report(&host, spins).await;
    assert_eq!(failed(report.outcome).1, "timeout");
    assert_eq!(database.rolled_back.load(Ordering::Relaxed), 1);
}
