//! Which code runs a step: the active one, that which its saga started with, or that which an operator chose.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use wasaga_domain::{
    attempt::Direction,
    definition::Pins,
    ids::Digest,
    mail::{Audit, Verb},
};
use wasaga_engine::driver::VerbError;

use crate::{
    script::{Answer, Scripted, asks, done, line, permanent},
    stage::{Stage, bounded, definition, until},
};

type Called = Arc<Mutex<Vec<(String, Option<Digest>)>>>;

fn note(called: &Called, call: &wasaga_domain::ports::StepCall) {
    called.lock().unwrap().push((line(call), call.module));
}

fn pinned(module: Digest) -> Arc<wasaga_domain::definition::Definition> {
    let mut pinned = definition("a b", Duration::ZERO);
    Arc::make_mut(&mut pinned).pins = Pins::from([("worker".parse().unwrap(), module)]);
    pinned
}

#[tokio::test]
async fn a_pinned_saga_keeps_its_code_on_every_host() {
    bounded(async {
        let called = Called::default();
        let script = |called: &Called| {
            let called = Arc::clone(called);
            Scripted::new(move |call| {
                note(&called, call);
                Answer::Now(if &*call.attempt.step == "a" { asks(call) } else { done() })
            })
        };
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let stage = Stage::with(pinned(old)).await;
        let lease = stage.lease(Duration::from_secs(10)).await;
        let host = stage.host(&lease, script(&called));
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "waiting").await;
        host.handle.stop().await;
        lease.stop().await;

        // Meanwhile another module became active.
        let stage = Stage { definition: pinned(new), ..stage };
        let lease = stage.lease(Duration::from_secs(10)).await;
        let mut host = stage.host(&lease, script(&called));
        stage.reply("1/a").await;
        host.end().await;
        host.engine.start(stage.request("2")).await.unwrap();
        until("the new saga waits", async || called.lock().unwrap().len() == 4).await;
        let expected = [("a 1", old), ("resume a 1", old), ("b 1", old), ("a 1", new)];
        let expected = expected.map(|(line, module)| (line.to_owned(), Some(module)));
        assert_eq!(*called.lock().unwrap(), expected);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_gave_up_is_tried_again_on_another_module() {
    bounded(async {
        let stage = Stage::with_notes("a b").await;
        let patched = Digest::of(b"x");
        let called = Called::default();
        let lease = stage.lease(Duration::from_secs(10)).await;
        let script = {
            let called = Arc::clone(&called);
            Scripted::new(move |call| {
                note(&called, call);
                let undo = call.attempt.direction == Direction::Undo;
                let fails = match &*call.attempt.step {
                    "b" => true,
                    _ => undo && call.module != Some(patched),
                };
                Answer::Now(if fails { permanent() } else { done() })
            })
        };
        let mut host = stage.host(&lease, script);
        let saga = host.engine.start(stage.request("1")).await.unwrap().saga_id;
        stage.until_status(saga, "needs_attention").await;
        let retry = |module| Verb::Retry { step: "a".into(), module: Some(module) };
        let by = Audit::because("the patch knows how");

        let unknown = Digest::of(b"unknown");
        let refused = host.engine.ask(saga, &retry(unknown), &by).await;
        assert_eq!(refused, Err(VerbError::NoModule(unknown)));
        host.engine.ask(saga, &retry(patched), &by).await.unwrap();
        host.end().await;
        assert_eq!(stage.status(saga).await, "compensated");
        let lines = [("a 1", None), ("b 1", None), ("undo a 1", None), ("undo a 2", Some(patched))];
        assert_eq!(*called.lock().unwrap(), lines.map(|(line, module)| (line.to_owned(), module)));
        let told = format!("select error->>'message' from wasaga.journal where saga_id = '{saga}' and kind = 'resumed'");
        let told = stage.session().await.texts(&told).await;
        assert_eq!(told, [Some(format!("the patch knows how (by module {patched})"))]);
        host.handle.stop().await;
        lease.stop().await;
    })
    .await;
}
