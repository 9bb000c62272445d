//! Sagas that sagas start, and starts by SQL.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;
use wasaga_domain::{
    clock::{Clock, SystemClock},
    definition::Definition,
    ids::SagaId,
    input_schema::InputSchema,
    mail::{Audit, Verb},
    outcome::{Arrival, Done, Effect, Failure, SagaStart, StepOutcome, Wait, WaitSource},
    payload::Payload,
    ports::{CallKind, StepCall},
    start::NewSaga,
};

use crate::{
    script::{Answer, Scripted, done, permanent},
    stage::{Stage, bounded, definition, until},
};

fn start(definition: &Definition, key: &str, input: &str) -> Effect {
    let (key, input) = (Some(key.to_owned()), Payload::json(input.to_owned()));
    let saga = NewSaga::of(definition, key, input, Uuid::now_v7(), SystemClock.now());
    Effect::Start(Box::new(SagaStart { saga, child: Some("helper".into()) }))
}

/// Starts the saga "child" under its own key, and waits for its end.
fn parent(definition: &Definition, call: &StepCall) -> Result<StepOutcome, Failure> {
    Ok(match &call.kind {
        CallKind::Resume { arrival: Arrival::Child { end, .. }, .. } => StepOutcome::Done(Done {
            output: Payload::json(format!("\"{}\"", end.status.as_str())),
            undo: None,
            effects: Vec::new(),
        }),
        CallKind::Execute { .. } => StepOutcome::Wait(Wait {
            sources: vec![WaitSource::Child("helper".into())],
            timeout: None,
            effects: vec![start(definition, "child", "\"child\"")],
            undo: None,
            memo: None,
        }),
        _ => return done(),
    })
}

fn is_child(call: &StepCall) -> bool {
    call.attempt.business_key.as_deref() == Some("child")
}

#[tokio::test]
async fn a_parent_hears_of_its_childs_end() {
    bounded(async {
        for fails in [false, true] {
            let stage = Stage::new("a").await;
            let lease = stage.lease(Duration::from_secs(10)).await;
            let definition = Arc::clone(&stage.definition);
            let script = Scripted::new(move |call| {
                Answer::Now(match is_child(call) {
                    true if fails => permanent(),
                    true => done(),
                    false => parent(&definition, call),
                })
            });
            let mut host = stage.host(&lease, script);
            let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
            let child = SagaId::derived("test", "child");
            assert_eq!([host.end().await, host.end().await], [child, saga]);
            let journal = stage.db.store.journal_list(saga).await.unwrap();
            let output = journal.iter().find_map(|entry| entry.output.clone()).unwrap();
            let status = if fails { "\"failed\"" } else { "\"completed\"" };
            assert_eq!(output, Payload::json(status));
            assert_eq!(stage.count("wasaga.children").await, 0);
            host.handle.stop().await;
            lease.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_child_is_cancelled_with_its_parent() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let definition = Arc::clone(&stage.definition);
        let script = Scripted::new(move |call| {
            let waits = is_child(call) && matches!(call.kind, CallKind::Execute { .. });
            if waits {
                Answer::Now(crate::script::asks(call))
            } else {
                Answer::Now(parent(&definition, call))
            }
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        let child = SagaId::derived("test", "child");
        until("the child waits", async || {
            stage.count("wasaga.sagas where status = 'waiting'").await == 2
        })
        .await;
        host.engine.ask(saga, &Verb::Cancel, &Audit::because("no more")).await.unwrap();
        host.end().await;
        host.end().await;
        assert_eq!(stage.status(saga).await, "compensated");
        assert_eq!(stage.status(child).await, "compensated");
        assert!(stage.journal(child).await.contains(&"cancelled".into()));
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_child_that_ended_before_is_heard_of_at_once() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let definition = Arc::clone(&stage.definition);
        let script = Scripted::new(move |call| {
            Answer::Now(if is_child(call) { done() } else { parent(&definition, call) })
        });
        let mut host = stage.host(&lease, script);
        host.engine.start(stage.request("child")).await.unwrap();
        host.end().await;
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        assert_eq!(host.end().await, saga);
        assert_eq!(stage.count("wasaga.sagas").await, 2, "the key's saga is the child");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_runs_with_another_input_fails_the_attempt() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let definition = Arc::clone(&stage.definition);
        let script = Scripted::new(move |call| match &call.kind {
            _ if is_child(call) => Answer::Later,
            CallKind::Execute { .. } => Answer::Now(Ok(StepOutcome::Done(Done {
                output: Payload::json("1"),
                undo: None,
                effects: vec![start(&definition, "child", "\"another\"")],
            }))),
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        host.engine.start(stage.request("child")).await.unwrap();
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        assert_eq!(host.end().await, saga);
        assert_eq!(stage.status(saga).await, "failed");
        let journal = stage.db.store.journal_list(saga).await.unwrap();
        let error = journal.iter().find_map(|entry| entry.error.clone()).unwrap();
        assert!(error.message.contains("with another input"), "{error:?}");
        host.script.end(|_| done());
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

/// As an active plugin leaves it.
const ACTIVE: &str = "
    insert into wasaga.modules (digest, plugin, version, manifest, bytes)
    values (sha256('x'), 'worker', '1', '{\"sagas\": [{\"name\": \"test\", \"version\": 1}]}', '');
    insert into wasaga.activations (plugin, digest) values ('worker', sha256('x'))";

#[tokio::test]
async fn an_application_starts_a_saga_in_its_own_transaction() {
    bounded(async {
        let stage = Stage::new("a").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        let mut session = stage.session().await;
        session.run(ACTIVE).await;
        session.run("begin; select wasaga.start_saga('test', 'x', '{}'); rollback").await;
        session.run("select wasaga.start_saga('test', '1', '{\"a\": 1}')").await;
        let saga = host.end().await;
        assert_eq!(saga, SagaId::derived("test", "1"), "SQL derives the same id");
        assert_eq!(stage.status(saga).await, "completed");
        session.run("select wasaga.start_saga('test', '1', '{\"a\":1}')").await;
        assert_eq!(stage.count("wasaga.sagas").await, 1);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_an_application_starts_amiss_is_told() {
    bounded(async {
        let stage = Stage::new("a").await;
        let mut session = stage.session().await;
        session.run(ACTIVE).await;
        session.run("select wasaga.start_saga('test', '1', '{}')").await;
        for (call, said) in [
            ("'nothing', '1', '{}'", "no active plugin defines saga"),
            ("'test', '1', '{\"other\": 1}'", "with another input"),
            ("'test', '', '{}'", "1 to 500 characters"),
            ("'test', '2', null", "is null"),
        ] {
            let error = session.fails(&format!("select wasaga.start_saga({call})")).await;
            assert!(error.contains(said), "{call}: {error}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_input_that_does_not_fit_fails_the_saga() {
    bounded(async {
        let mut definition = definition("a", Duration::ZERO);
        let schema = serde_json::json!({ "required": ["amount"] });
        Arc::make_mut(&mut definition).input_schema = Some(Arc::new(InputSchema::new(schema)));
        let stage = Stage::with(definition).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|_| Answer::Now(done())));
        let mut session = stage.session().await;
        session.run(ACTIVE).await;
        session.run("select wasaga.start_saga('test', '1', '{}')").await;
        let saga = host.end().await;
        let row = stage.db.store.saga_get(saga).await.unwrap().unwrap();
        assert_eq!(row.status.as_str(), "failed");
        let cause = row.state.cause().unwrap();
        assert_eq!(cause.code, "bad-input");
        assert!(cause.message.contains("amount"), "{cause:?}");
        assert!(host.script.called().is_empty());
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_sagas_life_is_published_in_order() {
    bounded(async {
        let mut definition = definition("a b", Duration::ZERO);
        Arc::make_mut(&mut definition).lifecycle_topic = Some("life".into());
        let stage = Stage::with(definition).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| {
            let declined = &*call.attempt.step == "b" && call.kind.is_execute();
            Answer::Now(if declined { permanent() } else { done() })
        });
        let mut host = stage.host(&lease, script);
        host.engine.start(stage.request("1")).await.unwrap();
        host.end().await;
        let sql = "select convert_from(value, 'UTF8')::jsonb ->> 'event' from wasaga.task_out
            where topic = 'life' order by id";
        let told: Vec<_> = stage.session().await.texts(sql).await.into_iter().flatten().collect();
        assert_eq!(
            told,
            ["started", "step_succeeded", "step_failed", "step_compensated", "compensated"]
        );
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
