//! Guards: proceed, skip or reject.

use wasaga_domain::outcome::StepOutcome;

use crate::build::{Run, done, permanent, rejected, retryable, steps, unknown};

fn skipped() -> crate::build::Outcome {
    Ok(StepOutcome::Skipped)
}

#[test]
fn a_skipped_step_is_passed_over_and_not_undone() {
    let mut run = Run::of(steps("a b c"));
    run.ends(done()).ends(skipped()).ends(permanent());
    assert_eq!(run.undone(), "a");
    assert_eq!(run.status(), "compensated");
}

#[test]
fn all_steps_skipped_completes() {
    let mut run = Run::of(steps("a b"));
    run.ends(skipped()).ends(skipped());
    assert_eq!(run.journal, ["skipped a", "skipped b", "completed"]);
    assert_eq!(run.status(), "completed");
}

#[test]
fn a_rejected_step_did_nothing_and_is_not_tried_again() {
    let mut run = Run::of(steps("a"));
    run.ends(rejected());
    assert_eq!(run.journal, ["failed a", "undoing", "saga_failed"]);
    assert_eq!(run.status(), "failed");
}

#[test]
fn a_step_skipped_after_an_unknown_attempt_is_undone() {
    let mut run = Run::of(steps("a b"));
    run.ends(unknown()).ends(skipped()).ends(permanent());
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_step_rejected_after_an_unknown_attempt_is_undone() {
    let mut run = Run::of(steps("a"));
    run.ends(unknown()).ends(rejected());
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_step_skipped_after_a_retryable_attempt_is_not() {
    let mut run = Run::of(steps("a b"));
    run.ends(retryable()).ends(skipped()).ends(permanent());
    assert_eq!(run.undone(), "");
}
