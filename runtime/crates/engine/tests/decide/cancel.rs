//! Cancel undoes; a waiting step counts as unknown; a guest that is being called is waited for.

use crate::build::{
    Run, STEP_TIMEOUT, done, permanent, retryable, steps, unavailable, unknown, wait,
};

#[test]
fn before_anything_happened_the_saga_fails() {
    let mut run = Run::of(steps("a b"));
    run.cancel();
    assert_eq!(run.journal, ["cancelled", "undoing", "saga_failed"]);
}

#[test]
fn what_is_done_is_undone() {
    let mut run = Run::of(steps("a b c"));
    run.ends(done()).ends(done()).cancel();
    assert_eq!(run.undone(), "b a");
    assert_eq!(run.status(), "compensated");
}

#[test]
fn a_waiting_step_counts_as_unknown() {
    for sends in [true, false] {
        let mut run = Run::of(steps("a b"));
        run.ends(done()).ends(wait("b", sends)).cancel();
        assert_eq!(run.undone(), "b a");
    }
}

#[test]
fn an_answer_that_was_not_handed_over_yet_counts_as_unknown() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).reply(0, "a").cancel();
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_running_attempt_ends_first() {
    let mut run = Run::of(steps("a b"));
    run.cancel_during_call();
    assert_eq!(run.status(), "running");
    run.ends(done());
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_running_attempt_is_not_repeated() {
    for outcome in [retryable(), unavailable(), permanent()] {
        let mut run = Run::of(steps("a b"));
        assert_eq!(run.cancel_during_call().ends(outcome).status(), "failed");
    }
    for outcome in [unknown(), wait("a", false)] {
        let mut run = Run::of(steps("a b"));
        assert_eq!(run.cancel_during_call().ends(outcome).undone(), "a");
    }
}

#[test]
fn the_last_steps_success_does_not_complete_a_cancelled_saga() {
    let mut run = Run::of(steps("a"));
    run.cancel_during_call().ends(done());
    assert_eq!(run.undone(), "a");
    assert_eq!(run.status(), "compensated");
}

#[test]
fn a_saga_that_is_being_undone_goes_on_with_it() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(permanent()).ends(wait("a", true)).cancel();
    assert_eq!(run.status(), "compensating");
    assert_eq!(run.journal.last().unwrap(), "cancelled");
    assert_eq!(run.later(STEP_TIMEOUT).runs(), "resume undo a 1");
}

#[test]
fn the_first_reason_stays_the_cause() {
    let mut run = Run::of(steps("a"));
    run.cancel_during_call().ends(permanent());
    assert_eq!(run.state.cause().unwrap().code, "cancelled");
}

#[test]
fn a_saga_that_stopped_going_forward_can_be_cancelled() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).claimed(3);
    assert_eq!(run.status(), "needs_attention");
    run.cancel();
    assert_eq!(run.undone(), "a");
    assert_eq!(run.status(), "compensated");
}
