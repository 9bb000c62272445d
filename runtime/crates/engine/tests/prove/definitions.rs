//! Definitions of all kinds: any graph, any policies, pivots wherever they stand.

use std::time::Duration;

use proptest::prelude::*;
use wasaga_domain::{
    definition::{Definition, Pins, Step, Undo},
    manifest::OnUndoFailure,
    retry::RetryPolicy,
};

const STEPS: usize = 7;

/// Of every wait that names no time-out of its own.
const STEP_TIMEOUT: Duration = Duration::from_secs(1);

pub fn any_definition() -> impl Strategy<Value = Definition> {
    let edges = prop::collection::vec(0_u8..10, STEPS * STEPS);
    let density = prop::sample::select(&[0_u8, 1, 1, 3, 6][..]);
    let steps = prop::collection::vec(any_step(), 1..=STEPS);
    (steps, edges, density, any::<bool>(), deadline(), any::<bool>()).prop_map(
        |(mut steps, edges, density, backwards, deadline, published)| {
            let count = steps.len();
            // The order of the list says nothing where steps name those they come after.
            let place = |step: usize| if backwards { count - 1 - step } else { step };
            for step in 0..count {
                let after = (0..step).filter(|&before| match density {
                    0 => before + 1 == step,
                    _ => edges[step * STEPS + before] < density,
                });
                steps[place(step)].after = after.map(|before| place(before) as u16).collect();
                steps[place(step)].name = format!("step{step}").into();
            }
            Definition {
                name: "any".into(),
                version: 1,
                steps,
                input_schema: None,
                plugin: "worker".parse().unwrap(),
                lifecycle_topic: published.then(|| "lives".into()),
                deadline,
                pin_workers: false,
                pins: Pins::new(),
            }
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let pivot = prop::bool::weighted(0.25);
    let is_final = prop::bool::weighted(0.6);
    (any::<bool>(), pivot, is_final, policy(), undo()).prop_map(
        |(guarded, pivot, is_final, retry, undo)| Step {
            name: "".into(),
            worker: "worker".parse().unwrap(),
            after: Vec::new(),
            pivot,
            guarded,
            timeout: STEP_TIMEOUT,
            retry,
            undo: undo.filter(|_| !(pivot && is_final)),
        },
    )
}

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

/// Before most sagas end, or after a wait or two.
fn deadline() -> impl Strategy<Value = Option<Duration>> {
    let millis = prop_oneof![1_u64..60, 500_u64..2_500];
    prop::option::weighted(0.3, millis.prop_map(Duration::from_millis))
}
