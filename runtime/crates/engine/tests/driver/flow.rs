//! Branches that run side by side: what happens to one of them does not wait for another.

use std::{sync::Arc, time::Duration};

use wasaga_domain::{
    definition::Step,
    mail::{Audit, Verb},
    outcome::{StepOutcome, Wait, WaitSource},
    payload::Payload,
};
use wasaga_engine::driver::VerbError;

use crate::{
    script::{Answer, Scripted, asks, done, permanent, retryable},
    stage::{Stage, bounded, definition, until},
};

/// Steps named a to d, each after those its place lists.
async fn graph(after: [&[u16]; 4], delay: Duration) -> Stage {
    let mut definition = definition("a b c d", delay);
    let steps = &mut Arc::make_mut(&mut definition).steps;
    for (step, after) in steps.iter_mut().zip(after) {
        *step = Step { after: after.to_vec(), ..step.clone() };
    }
    Stage::with(definition).await
}

const DIAMOND: [&[u16]; 4] = [&[], &[0], &[0], &[1, 2]];

#[tokio::test]
async fn branches_are_called_at_once_and_joined() {
    bounded(async {
        let stage = graph(DIAMOND, Duration::ZERO).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, Scripted::new(|_| Answer::Later));
        host.engine.start(stage.request("1")).await.unwrap();
        for (running, called) in [(1, "a 1"), (2, "a 1, b 1, c 1"), (1, "a 1, b 1, c 1, d 1")] {
            until("they are called", async || host.script.running() == running).await;
            assert_eq!(host.script.called().join(", "), called);
            host.script.end(|_| done());
        }
        let saga = host.end().await;
        assert_eq!(stage.status(saga).await, "completed");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_reply_is_taken_while_another_branch_runs() {
    bounded(async {
        let stage = graph(DIAMOND, Duration::ZERO).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| match &*call.attempt.step {
            "b" => Answer::Now(asks(call)),
            "c" => Answer::Later,
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        host.engine.start(stage.request("1")).await.unwrap();
        let waiting = "wasaga.waits where saga_id is not null";
        until("b waits", async || stage.count(waiting).await == 1).await;
        // No bell is rung here: another host delivered it.
        stage.reply("1/b").await;
        until("b goes on", async || host.script.called().contains(&"resume b 1".into())).await;
        assert_eq!(host.script.running(), 1, "c still runs");
        host.script.end(|_| done());
        assert_eq!(stage.status(host.end().await).await, "completed");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_back_off_ends_while_another_branch_runs() {
    bounded(async {
        let stage = graph(DIAMOND, Duration::from_millis(30)).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| match (&*call.attempt.step, call.attempt.number) {
            ("b", 1) => Answer::Now(retryable()),
            ("c", _) => Answer::Later,
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        host.engine.start(stage.request("1")).await.unwrap();
        until("b is tried again", async || host.script.called().contains(&"b 2".into())).await;
        assert_eq!(host.script.running(), 1, "c still runs");
        host.script.end(|_| done());
        assert_eq!(stage.status(host.end().await).await, "completed");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_failure_waits_for_the_other_branch_and_undoes_it() {
    bounded(async {
        let stage = graph(DIAMOND, Duration::ZERO).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| match (&*call.attempt.step, call.kind.is_execute()) {
            ("b", true) => Answer::Now(permanent()),
            ("c", true) => Answer::Later,
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        host.engine.start(stage.request("1")).await.unwrap();
        until("c runs and b has failed", async || {
            host.script.running() == 1 && stage.count("wasaga.journal").await == 2
        })
        .await;
        host.script.end(|_| done());
        let saga = host.end().await;
        let journal = stage.journal(saga).await;
        assert_eq!(
            journal[1..].join(", "),
            "failed b, succeeded c, undoing, undo succeeded c, undo succeeded a, compensated"
        );
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

fn waits_for_signal() -> Result<StepOutcome, wasaga_domain::outcome::Failure> {
    Ok(StepOutcome::Wait(Wait {
        sources: vec![WaitSource::Signal("go".into())],
        timeout: None,
        effects: Vec::new(),
        undo: None,
        memo: None,
    }))
}

#[tokio::test]
async fn signals_reach_the_step_early_or_late() {
    bounded(async {
        for early in [true, false] {
            let stage = Stage::new("a b").await;
            let lease = stage.lease(Duration::from_secs(10)).await;
            let script = Scripted::new(|call| match (&*call.attempt.step, &call.kind) {
                ("a", _) => Answer::Later,
                ("b", wasaga_domain::ports::CallKind::Execute { .. }) => {
                    Answer::Now(waits_for_signal())
                }
                _ => Answer::Now(done()),
            });
            let mut host = stage.host(&lease, script);
            let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
            until("a runs", async || host.script.running() == 1).await;
            let signal = Payload::json("42");
            if early {
                host.engine.signal(saga, "go", &signal).await.unwrap();
                host.script.end(|_| done());
            } else {
                host.script.end(|_| done());
                stage.until_status(saga, "waiting").await;
                host.engine.signal(saga, "go", &signal).await.unwrap();
            }
            host.end().await;
            assert_eq!(host.script.called(), ["a 1", "b 1", "resume b 1"]);
            host.handle.stop().await;
            lease.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_saga_past_its_pivot_is_not_cancelled() {
    bounded(async {
        let mut definition = definition("a b", Duration::ZERO);
        Arc::make_mut(&mut definition).steps[0].pivot = true;
        let stage = Stage::with(definition).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| match &*call.attempt.step {
            "b" => Answer::Later,
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("b runs", async || host.script.running() == 1).await;
        let refused = host.engine.ask(saga, &Verb::Cancel, &Audit::because("late")).await;
        assert!(matches!(refused, Err(VerbError::PastPivot(..))), "{refused:?}");
        host.script.end(|_| done());
        assert_eq!(stage.status(host.end().await).await, "completed");
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_saga_turns_back_at_its_deadline() {
    bounded(async {
        let mut definition = definition("a b", Duration::ZERO);
        Arc::make_mut(&mut definition).deadline = Some(Duration::from_millis(400));
        let stage = Stage::with(definition).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| match (&*call.attempt.step, call.kind.is_execute()) {
            ("b", true) => Answer::Now(asks(call)),
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        host.end().await;
        assert_eq!(stage.status(saga).await, "compensated");
        assert_eq!(host.script.called(), ["a 1", "b 1", "undo b 1", "undo a 1"]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_saga_waits_for_its_operator() {
    bounded(async {
        let stage = Stage::new("a b").await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = Scripted::new(|call| match &*call.attempt.step {
            "a" => Answer::Later,
            _ => Answer::Now(done()),
        });
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        until("a runs", async || host.script.running() == 1).await;
        host.engine.ask(saga, &Verb::Pause, &Audit::because("look")).await.unwrap();
        stage.until_status(saga, "paused").await;
        host.script.end(|_| done());
        until("a is done", async || stage.journal(saga).await == ["paused", "succeeded a"]).await;
        assert_eq!(stage.status(saga).await, "paused");
        assert_eq!(host.script.called(), ["a 1"]);
        host.engine.ask(saga, &Verb::Resume, &Audit::because("go")).await.unwrap();
        host.end().await;
        assert_eq!(
            stage.journal(saga).await,
            ["paused", "succeeded a", "resumed", "succeeded b", "completed"]
        );
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
