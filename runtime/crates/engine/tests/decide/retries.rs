//! Retry: never, fixed or exponential, with the worker's own wish; the undo has retries of its own.

use std::time::Duration;

use wasaga_domain::{outcome::Failure, retry::RetryPolicy, state::Activity};

use crate::build::{Run, attempts, done, permanent, retryable, step, steps, unknown, why};

fn one(retry: RetryPolicy) -> Run {
    let mut only = step("a");
    only.retry = retry;
    Run::of(vec![only])
}

/// How long the step is to back off.
fn backs_off(run: &Run) -> Duration {
    match run.state.open[0].activity {
        Activity::BackOff(until) => until.since(run.now),
        ref other => panic!("it does not back off: {other:?}"),
    }
}

#[test]
fn never_is_one_attempt() {
    let mut run = one(RetryPolicy::Never {});
    assert_eq!(run.ends(retryable()).status(), "failed");
}

#[test]
fn attempts_are_counted_with_the_first() {
    let mut run = one(attempts(3));
    assert_eq!(run.ends(retryable()).runs(), "a 2");
    assert_eq!(run.ends(unknown()).runs(), "a 3");
    run.ends(retryable());
    assert_eq!(run.journal[..3], ["retrying a", "retrying a", "failed a"]);
}

#[test]
fn permanent_is_not_tried_again() {
    let mut run = one(attempts(3));
    assert_eq!(run.ends(permanent()).journal[0], "failed a");
}

#[test]
fn exponential_delays_grow_to_the_cap() {
    let mut run = one(RetryPolicy::Exponential {
        initial_ms: 100,
        multiplier: 3.0,
        max_delay_ms: 500,
        max_attempts: None,
        jitter: 0.5,
    });
    for expected in [100, 300, 500, 500] {
        run.ends(retryable());
        assert_eq!(backs_off(&run), Duration::from_millis(expected));
        assert_eq!(run.later(Duration::from_millis(expected - 1)).runs(), "-");
        assert!(run.later(Duration::from_millis(1)).runs().starts_with("a "));
    }
}

#[test]
fn the_workers_wish_lengthens_the_delay() {
    let mut run = one(RetryPolicy::Fixed { delay_ms: 100, max_attempts: None });
    for (wish, expected) in [(50, 100), (700, 700)] {
        let after = Some(Duration::from_millis(wish));
        run.ends(Err(Failure::Retryable { detail: why("busy"), after }));
        assert_eq!(backs_off(&run), Duration::from_millis(expected));
        run.later(Duration::from_millis(expected));
    }
}

#[test]
fn a_step_begins_with_its_own_first_attempt() {
    let mut run = Run::of(steps("a b"));
    assert_eq!(run.ends(retryable()).ends(done()).runs(), "b 1");
}

#[test]
fn the_undo_has_retries_of_its_own() {
    let mut all = steps("a b");
    all[0].retry = attempts(1);
    all[0].undo.as_mut().unwrap().retry = attempts(3);
    let mut run = Run::of(all);
    run.ends(done()).ends(permanent());
    assert_eq!(run.ends(retryable()).runs(), "undo a 2");
    assert_eq!(run.ends(unknown()).runs(), "undo a 3");
    assert_eq!(run.ends(retryable()).status(), "needs_attention");
}
