//! The property: whatever happens, the saga ends, undo is exact, nothing runs again after its success, retries obey
//! their policies and mail is taken in once. `WASAGA_PROPTEST_CASES` asks for more cases.

use std::{cell::RefCell, collections::BTreeMap, env};

use proptest::{prelude::*, test_runner::TestRunner};
use wasaga_domain::{
    definition::{Definition, Step, Undo},
    manifest::OnUndoFailure,
    retry::RetryPolicy,
};

use crate::{
    build::{STEP_TIMEOUT, step},
    simulation::{Choices, Simulation},
};

const CASES: u32 = 20_000;

fn policy() -> impl Strategy<Value = RetryPolicy> {
    let fixed =
        (0_u64..3, prop::option::weighted(0.8, 1_u32..4)).prop_map(|(delay, max_attempts)| {
            RetryPolicy::Fixed { delay_ms: delay * 10, max_attempts }
        });
    let exponential = (1_u64..50, 1_u32..4, prop::option::weighted(0.8, 1_u32..5), 0_u32..3)
        .prop_map(|(initial_ms, multiplier, max_attempts, jitter)| RetryPolicy::Exponential {
            initial_ms,
            multiplier: f64::from(multiplier),
            max_delay_ms: 100,
            max_attempts,
            jitter: f64::from(jitter) / 2.0,
        });
    prop_oneof![Just(RetryPolicy::Never {}), fixed, exponential]
}

fn undo() -> impl Strategy<Value = Option<Undo>> {
    let on_failure = prop_oneof![Just(OnUndoFailure::NeedsAttention), Just(OnUndoFailure::GoOn)];
    let undo = (policy(), on_failure).prop_map(|(retry, on_failure)| Undo {
        retry,
        timeout: STEP_TIMEOUT,
        on_failure,
    });
    prop::option::weighted(0.8, undo)
}

fn any_step() -> impl Strategy<Value = Step> {
    (any::<bool>(), policy(), undo()).prop_map(|(guarded, retry, undo)| Step {
        guarded,
        retry,
        undo,
        ..step("")
    })
}

fn definition() -> impl Strategy<Value = Definition> {
    prop::collection::vec(any_step(), 1..5).prop_map(|mut steps| {
        for (place, step) in steps.iter_mut().enumerate() {
            step.name = format!("step{place}").into();
            step.after = place.checked_sub(1).map(|before| before as u16).into_iter().collect();
        }
        Definition {
            name: "any".into(),
            version: 1,
            steps,
            input_schema: None,
            plugin: "worker".parse().unwrap(),
            lifecycle_topic: None,
            deadline: None,
            pin_workers: false,
            pins: wasaga_domain::definition::Pins::new(),
        }
    })
}

#[test]
fn whatever_happens_undo_is_exact_and_every_saga_ends() {
    let cases = env::var("WASAGA_PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seen = RefCell::new(BTreeMap::<&str, u32>::new());
    let choices = prop::collection::vec(any::<u8>(), 0..300);
    TestRunner::new(config)
        .run(&(definition(), choices), |(definition, choices)| {
            let mut simulation = Simulation::new(definition, Choices::new(choices));
            let end = simulation.run();
            *seen.borrow_mut().entry(end).or_default() += 1;
            for (what, times) in simulation.seen {
                *seen.borrow_mut().entry(what).or_default() += times;
            }
            Ok(())
        })
        .unwrap();
    // A simulation in which something never happens says nothing about it.
    let seen = seen.into_inner();
    for what in [
        "completed",
        "compensated",
        "failed",
        "attention",
        "crash",
        "release",
        "wait",
        "early reply",
        "mail before the end",
    ] {
        assert!(
            seen.get(what).is_some_and(|times| *times > 100),
            "{what} hardly happened: {seen:?}"
        );
    }
}
