//! Sagas that start by the clock: each occurrence once, whoever dies and whoever else looks.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use wasaga_domain::{
    catalog::{Active, Catalog},
    clock::{Clock, SystemClock},
    definition::Definition,
    ids::Digest,
    input_schema::InputSchema,
    manifest::Manifest,
    ports::{CatalogSource, ModuleStore, NewModule, StepCall},
    schedule::Schedule,
};
use wasaga_engine::{
    driver::EngineOptions,
    schedules::{Bounds, ScheduleOptions, Schedules, SchedulesHandle},
};

use crate::{
    script::{Answer, Scripted, done},
    stage::{Host, Stage, bounded, definition, until},
};

/// A catalog that has one definition, with a schedule.
struct Scheduled(Arc<Catalog>);

impl CatalogSource for Scheduled {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0)
    }
}

/// The stage's definition as a plugin has it, version by version.
fn manifest(version: u32, triggers: &Value) -> Manifest {
    let saga = json!({"name": "test", "version": version, "triggers": triggers,
        "steps": [{"name": "a", "timeout_ms": 1000, "retry": {"never": {}}}]});
    serde_json::from_value(json!({"name": "plugin", "version": "1.0.0", "sagas": [saga]})).unwrap()
}

async fn activate(stage: &Stage, version: u32, triggers: &Value) {
    let bytes = format!("{version} {triggers}").into_bytes();
    let manifest = manifest(version, triggers);
    let module =
        NewModule { digest: Digest::of(&bytes), bytes, manifest, sql: false, event_store: false };
    stage.db.store.activate(module).await.unwrap();
}

/// Keeps this schedule of the stage's definition on a host, by short looks of ten starts.
fn keep(stage: &Stage, host: &Host, schedule: &Value) -> SchedulesHandle {
    let trigger = serde_json::from_value(schedule.clone()).unwrap();
    let active = Active {
        definition: Arc::clone(&stage.definition),
        http: Vec::new(),
        topics: Vec::new(),
        schedule: Some(Arc::new(Schedule::new(&trigger).unwrap())),
    };
    let definitions = [(Arc::clone(&stage.definition.name), active)].into();
    let catalog = Catalog { definitions, ..Catalog::default() };
    let bounds = Bounds { tolerance: Duration::from_secs(5), batch: 10 };
    let options = ScheduleOptions { poll: Duration::from_millis(20), bounds };
    let catalog = Arc::new(Scheduled(Arc::new(catalog)));
    Schedules::start(stage.store(), catalog, host.engine.clone(), options)
}

/// The schedule's row in one word each: its next occurrence is to be worked out, is due, or is to come.
async fn next(stage: &Stage) -> Vec<String> {
    let next = "select case when next_at is null then 'unknown' when next_at <= now() then 'due' else 'ahead' end
        from wasaga.schedules";
    stage.session().await.texts(next).await.into_iter().flatten().collect()
}

async fn until_ahead(stage: &Stage) {
    until("the schedule is ahead", async || next(stage).await == ["ahead"]).await;
}

/// As if no host had run for this long.
async fn sleep_for(stage: &Stage, interval: &str) {
    let back = format!(
        "update wasaga.schedules set next_at = date_trunc('second', now() - interval '{interval}')"
    );
    stage.session().await.run(&back).await;
}

async fn keys(stage: &Stage) -> Vec<String> {
    let keys = "select business_key from wasaga.sagas order by 1";
    stage.session().await.texts(keys).await.into_iter().flatten().collect()
}

/// A minute of each hour that is not now, nor soon, nor a moment ago.
fn far_minute() -> String {
    let now = SystemClock.now().0 / 60_000;
    format!("{} * * * *", (now + 30) % 60)
}

fn prompt() -> Scripted {
    Scripted::new(|_| Answer::Now(done()))
}

#[tokio::test]
async fn two_hosts_fire_each_occurrence_once() {
    bounded(async {
        let stage = Stage::new("a").await;
        let every = json!({"cron": "* * * * * *", "misfire": "all"});
        activate(&stage, 1, &json!([{"schedule": every}])).await;
        sleep_for(&stage, "100 seconds").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let called = Arc::new(Mutex::new(Vec::new()));
        let hosts: Vec<_> = (0..2)
            .map(|_| {
                let called = Arc::clone(&called);
                let script = move |call: &StepCall| {
                    called.lock().unwrap().extend(call.attempt.business_key.clone());
                    Answer::Now(done())
                };
                stage.host(&lease, Scripted::new(script))
            })
            .collect();
        let schedules: Vec<_> = hosts.iter().map(|host| keep(&stage, host, &every)).collect();
        until_ahead(&stage).await;
        for schedules in schedules {
            schedules.stop().await;
        }
        for host in hosts {
            host.handle.stop().await;
        }
        // Every second from the first to the last, and no other.
        let keys = keys(&stage).await;
        let second = |key: &String| {
            let at: Timestamp = key.strip_prefix("test@").unwrap().parse().unwrap();
            assert_eq!(format!("test@{at}"), *key);
            at.as_second()
        };
        let seconds: Vec<i64> = keys.iter().map(second).collect();
        assert!(
            seconds.len() > 100 && seconds.windows(2).all(|two| two[0] + 1 == two[1]),
            "{keys:?}"
        );
        let called = called.lock().unwrap().clone();
        let distinct: BTreeSet<_> = called.iter().collect();
        assert!(called.len() >= 100);
        assert_eq!(distinct.len(), called.len(), "none was called twice");
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_host_had_started_is_not_started_again() {
    bounded(async {
        let stage = Stage::new("a").await;
        let hourly = json!({"cron": far_minute(), "misfire": "all"});
        activate(&stage, 1, &json!([{"schedule": hourly}])).await;
        sleep_for(&stage, "5 hours").await;
        // The starts are committed, and the host never comes to move the schedule on.
        let mut session = stage.session().await;
        session
            .run(
                "create function cut() returns trigger language plpgsql as $$ begin raise 'cut' using errcode = '57P01'; end $$;
                 create trigger cut before update on wasaga.schedules for each row execute function cut()",
            )
            .await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let first = stage.host(&lease, prompt());
        let schedules = keep(&stage, &first, &hourly);
        let ended = "wasaga.sagas where status = 'completed'";
        until("five are started", async || stage.count(ended).await == 5).await;
        schedules.stop().await;
        let started = keys(&stage).await;
        assert_eq!(next(&stage).await, ["due"]);
        session.run("drop trigger cut on wasaga.schedules").await;

        let second = stage.host(&lease, prompt());
        let schedules = keep(&stage, &second, &hourly);
        until_ahead(&stage).await;
        schedules.stop().await;
        assert_eq!(keys(&stage).await, started);
        assert!(second.script.called().is_empty(), "{:?}", second.script.called());
        first.handle.stop().await;
        second.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_occurrence_that_could_not_be_started_is_tried_again() {
    bounded(async {
        let stage = Stage::new("a").await;
        let hourly = json!(far_minute());
        activate(&stage, 1, &json!([{"schedule": hourly}])).await;
        sleep_for(&stage, "2 hours").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        // A host without a lease starts nothing.
        let (sender, host) = watch::channel(None);
        let mut host = stage.host_on(stage.store(), host, prompt(), EngineOptions::default());
        let schedules = keep(&stage, &host, &hourly);
        // `once`: the first of two is passed over, and the second waits for a host that can start it.
        let second = "wasaga.schedules where next_at > now() - interval '1 hour 1 second'";
        until("it waits", async || stage.count(second).await == 1).await;
        assert_eq!((next(&stage).await, keys(&stage).await.len()), (vec!["due".to_owned()], 0));
        sender.send_replace(*lease.host().borrow());
        host.end().await;
        until_ahead(&stage).await;
        assert_eq!(keys(&stage).await.len(), 1);
        schedules.stop().await;
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_passed_over() {
    bounded(async {
        let schema = InputSchema::new(json!({"required": ["amount"]}));
        let picky = Definition {
            input_schema: Some(Arc::new(schema)),
            ..Definition::clone(&definition("a", Duration::ZERO))
        };
        let stage = Stage::with(Arc::new(picky)).await;
        let refused = json!({"cron": far_minute(), "input": {"total": 1}});
        activate(&stage, 1, &json!([{"schedule": refused}])).await;
        sleep_for(&stage, "2 hours").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, prompt());
        let schedules = keep(&stage, &host, &refused);
        until_ahead(&stage).await;
        assert!(keys(&stage).await.is_empty());
        schedules.stop().await;

        let fits = json!({"cron": far_minute(), "input": {"amount": 1}});
        sleep_for(&stage, "2 hours").await;
        let schedules = keep(&stage, &host, &fits);
        let saga = host.end().await;
        let input = stage.db.store.saga_get(saga).await.unwrap().unwrap().input;
        let input: HashMap<String, Value> = serde_json::from_slice(&input.data).unwrap();
        assert_eq!(input["amount"], 1);
        let key = format!("test@{}", input["scheduled_at"].as_str().unwrap());
        assert_eq!(keys(&stage).await, [key]);
        schedules.stop().await;
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_schedule_lives_and_changes_with_its_plugin() {
    bounded(async {
        let stage = Stage::new("a").await;
        let hourly = json!(far_minute());
        activate(&stage, 1, &json!([{"schedule": hourly}])).await;
        assert_eq!(next(&stage).await, ["unknown"]);
        let lease = stage.lease(Duration::from_secs(10)).await;
        let host = stage.host(&lease, prompt());
        let schedules = keep(&stage, &host, &hourly);
        // It begins with the next hour, not with one that has passed.
        until_ahead(&stage).await;
        schedules.stop().await;
        assert!(keys(&stage).await.is_empty());

        sleep_for(&stage, "3 hours").await;
        let all = json!({"cron": hourly, "misfire": "all"});
        activate(&stage, 2, &json!([{"schedule": all}])).await;
        assert_eq!(next(&stage).await, ["due"], "the same expression goes on where it was");
        // A host that has not loaded the new version yet leaves its schedule alone.
        let behind = keep(&stage, &host, &hourly);
        activate(&stage, 3, &json!([{"schedule": "@daily"}])).await;
        assert_eq!(next(&stage).await, ["unknown"], "another one starts anew");
        activate(&stage, 4, &json!([])).await;
        assert!(next(&stage).await.is_empty());
        activate(&stage, 1, &json!([{"schedule": hourly}])).await;
        until_ahead(&stage).await;
        assert!(keys(&stage).await.is_empty(), "what passed before it came back is not its own");
        behind.stop().await;
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
