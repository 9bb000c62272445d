//! What counts as "may have happened", and so is undone.

use crate::build::{Run, STEP_TIMEOUT, attempts, done, permanent, retryable, steps, unknown, wait};

fn once(names: &str) -> Vec<wasaga_domain::definition::Step> {
    let mut all = steps(names);
    for step in &mut all {
        step.retry = attempts(1);
    }
    all
}

#[test]
fn a_declined_payment_needs_no_refund() {
    let mut run = Run::of(steps("reserve pay"));
    run.ends(done()).ends(permanent());
    assert_eq!(run.undone(), "reserve");
}

#[test]
fn retries_that_did_nothing_need_no_undo() {
    let mut run = Run::of(steps("a"));
    run.ends(retryable()).ends(retryable());
    assert_eq!(run.status(), "failed");
}

#[test]
fn unknown_is_undone() {
    let mut run = Run::of(once("a"));
    assert_eq!(run.ends(unknown()).undone(), "a");
}

#[test]
fn permanent_after_unknown_is_undone() {
    let mut run = Run::of(steps("a"));
    assert_eq!(run.ends(unknown()).ends(permanent()).undone(), "a");
}

#[test]
fn permanent_as_the_answer_denies_all_attempts() {
    let mut run = Run::of(steps("a"));
    run.ends(unknown()).ends(wait("a", true)).reply(0, "a").ends(permanent());
    assert_eq!(run.status(), "failed");
}

#[test]
fn an_unanswered_command_is_undone() {
    for outcome in [retryable(), permanent(), unknown()] {
        let mut run = Run::of(once("a"));
        run.ends(wait("a", true)).later(STEP_TIMEOUT).ends(outcome);
        assert_eq!(run.undone(), "a");
    }
}

#[test]
fn a_wait_that_sent_nothing_did_nothing() {
    let mut run = Run::of(once("a"));
    run.ends(wait("a", false)).later(STEP_TIMEOUT).ends(permanent());
    assert_eq!(run.status(), "failed");
}

#[test]
fn a_wait_whose_own_sql_was_committed_is_undone() {
    let mut run = Run::of(once("a"));
    run.ends_with(wait("a", false), true).later(STEP_TIMEOUT).ends(permanent());
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_wait_after_a_request_that_went_out_is_undone() {
    let mut run = Run::of(once("a"));
    run.reached_out = true;
    run.ends(wait("a", false)).later(STEP_TIMEOUT).ends(permanent());
    assert_eq!(run.undone(), "a");
}

#[test]
fn an_acknowledged_command_that_is_never_answered_is_undone() {
    let mut run = Run::of(once("a"));
    run.ends(wait("ack", true)).reply(0, "ack").ends(wait("answer", false));
    run.later(STEP_TIMEOUT).ends(permanent());
    assert_eq!(run.undone(), "a");
}

#[test]
fn an_answer_that_says_try_again_leaves_nothing_to_undo() {
    let mut run = Run::of(once("a"));
    run.ends(wait("a", true)).reply(0, "a").ends(retryable());
    assert_eq!(run.status(), "failed");
}

#[test]
fn a_time_out_stays_in_doubt_over_later_attempts() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).later(STEP_TIMEOUT).ends(retryable()).ends(permanent());
    assert_eq!(run.undone(), "a");
}
