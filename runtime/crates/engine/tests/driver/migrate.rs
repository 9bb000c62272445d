//! Sagas that move to another version of their definition while they run: nothing is done twice, and nothing is lost.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::watch;
use wasaga_domain::{
    attempt::Direction,
    ids::SagaId,
    mail::{Audit, Migration, Verb},
    ports::{CallKind, StepCall},
};
use wasaga_engine::driver::EngineOptions;

use crate::{
    script::{Answer, Scripted, ask, asks, correlation, done, permanent},
    stage::{Host, Stage, bounded, definition, until},
};

/// A definition of these steps, and its version 2.
async fn stage_of(first: &str, second: &str) -> Stage {
    let mut second = definition(second, Duration::ZERO);
    Arc::make_mut(&mut second).version = 2;
    let stage = Stage::new(first).await;
    Stage { others: vec![second], ..stage }
}

fn to(map: &[(&str, &str)]) -> Verb {
    let map = map.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
    Verb::Migrate(Migration { to: 2, map: map.collect() })
}

async fn migrate(host: &Host, saga: SagaId, map: &[(&str, &str)]) {
    host.engine.ask(saga, &to(map), &Audit::because("the flow has changed")).await.unwrap();
}

async fn version(stage: &Stage, saga: SagaId) -> u32 {
    stage.db.store.saga_get(saga).await.unwrap().unwrap().version
}

#[tokio::test]
async fn a_waiting_saga_goes_on_under_new_names_and_its_old_keys() {
    bounded(async {
        let stage = stage_of("a b c", "reserve pack send").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = |call: &StepCall| {
            let forward = call.attempt.direction == Direction::Forward;
            Answer::Now(match (&*call.attempt.step, &call.kind) {
                ("b", _) => asks(call),
                ("pack", CallKind::Resume { memo, .. }) => {
                    assert!(memo.is_some(), "what it left before the move");
                    done()
                }
                ("send", _) if forward => permanent(),
                (_, CallKind::Compensate { undo }) => {
                    assert!(undo.is_some(), "{}", call.attempt.step);
                    done()
                }
                _ => done(),
            })
        };
        let host = stage.host(&lease, Scripted::new(script));
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        migrate(&host, saga, &[("a", "reserve"), ("b", "pack"), ("c", "send")]).await;
        until("it is moved", async || version(&stage, saga).await == 2).await;
        // Another host takes it from here, by what is stored.
        host.handle.stop().await;
        let mut host = stage.host(&lease, Scripted::new(script));
        stage.reply("1/b").await;
        host.sagas.notify_one();
        host.end().await;
        let called = host.script.called();
        assert_eq!(called, ["resume pack 1", "send 1", "undo pack 1", "undo reserve 1"]);
        let journal = stage.journal(saga).await;
        assert_eq!(
            journal,
            [
                "succeeded a",
                "waiting b",
                "migrated",
                "succeeded b",
                "failed send",
                "undoing",
                "undo succeeded b",
                "undo succeeded a",
                "compensated"
            ]
        );
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_keys_of_a_renamed_step_are_those_it_began_with() {
    bounded(async {
        let stage = stage_of("a b", "x y").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
        let script = Scripted::new({
            let keys = Arc::clone(&keys);
            move |call| {
                let key = call.attempt.idempotency_key.rsplit_once('/').unwrap().1.to_owned();
                keys.lock().unwrap().push(key);
                Answer::Now(match &call.kind {
                    CallKind::Execute { .. } if call.attempt.number == 1 => ask(&correlation(call)),
                    _ => done(),
                })
            }
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        migrate(&host, saga, &[("a", "x"), ("b", "y")]).await;
        until("it is moved", async || version(&stage, saga).await == 2).await;
        stage.reply("1/a").await;
        host.sagas.notify_one();
        until("y waits", async || host.script.called().len() == 3).await;
        stage.until_status(saga, "waiting").await;
        stage.reply("1/y").await;
        host.sagas.notify_one();
        host.end().await;
        assert_eq!(*keys.lock().unwrap(), ["a", "a", "y", "y"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn calls_under_way_end_first_and_nothing_new_begins() {
    bounded(async {
        let mut stage = stage_of("a b", "c x b").await;
        let second = Arc::make_mut(&mut stage.others[0]);
        for (step, after) in second.steps.iter_mut().zip([vec![1], vec![], vec![0]]) {
            step.after = after;
        }
        let lease = stage.lease(Duration::from_secs(10)).await;
        let later = Scripted::new(|call| match &*call.attempt.step {
            "a" => Answer::Later,
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, later);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("the call runs", async || host.script.running() == 1).await;
        migrate(&host, saga, &[("a", "x")]).await;
        // Mail behind it waits with it.
        host.engine.ask(saga, &Verb::Pause, &Audit::because("look")).await.unwrap();
        let posted = "wasaga.mail";
        until("both are there", async || stage.count(posted).await == 2).await;
        host.script.end(|_| done());
        stage.until_status(saga, "paused").await;
        let journal = ["migrated", "paused", "succeeded a"];
        until("the call's end is decided", async || stage.journal(saga).await == journal).await;
        host.engine.ask(saga, &Verb::Resume, &Audit::because("go on")).await.unwrap();
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "c 1", "b 1"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_moved_says_so_in_its_history_and_goes_on() {
    bounded(async {
        let stage = stage_of("a b", "b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|call| Answer::Now(asks(call))));
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        migrate(&host, saga, &[]).await;
        let by = Audit::because("no such version");
        let nowhere = Verb::Migrate(Migration { to: 7, map: BTreeMap::new() });
        host.engine.ask(saga, &nowhere, &by).await.unwrap();
        let declined =
            async || stage.journal(saga).await.iter().filter(|e| *e == "declined").count() == 2;
        until("both are declined", declined).await;
        let journal = stage.db.store.journal_list(saga).await.unwrap();
        let why: Vec<_> =
            journal.into_iter().filter_map(|entry| Some(entry.error?.message)).collect();
        assert!(
            why[0].contains("its step \"a\" has begun, and version 2 has no step \"a\""),
            "{why:?}"
        );
        assert!(why[1].contains("is not known"), "{why:?}");
        assert_eq!(version(&stage, saga).await, 1);
        stage.reply("1/a").await;
        host.sagas.notify_one();
        until("b waits", async || host.script.called().len() == 3).await;
        stage.until_status(saga, "waiting").await;
        stage.reply("1/b").await;
        host.sagas.notify_one();
        host.end().await;
        assert_eq!(stage.status(saga).await, "completed");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn one_started_by_sql_is_moved_before_its_first_step() {
    bounded(async {
        let stage = stage_of("a", "a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        // Nobody holds it while both pieces of mail come.
        let (sender, free) = watch::channel(None);
        let script = Scripted::new(|_| Answer::Now(done()));
        let mut host = stage.host_on(stage.store(), free, script, EngineOptions::default());
        let saga = SagaId::derived("test", "1");
        let mut session = stage.session().await;
        session
            .run(
                "insert into wasaga.modules (digest, plugin, version, manifest, bytes)
                 values (sha256('x'), 'worker', '1', '{\"sagas\": [{\"name\": \"test\", \"version\": 1}]}', '');
                 insert into wasaga.activations (plugin, digest) values ('worker', sha256('x'));
                 select wasaga.start_saga('test', '1', '{}')",
            )
            .await;
        stage.db.store.saga_ask(saga, &to(&[]), &Audit::because("first")).await.unwrap();
        sender.send_replace(*lease.host().borrow());
        host.end().await;
        assert_eq!(host.script.called(), ["a 1", "b 1"]);
        assert_eq!(stage.journal(saga).await, ["migrated", "succeeded a", "succeeded b", "completed"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
