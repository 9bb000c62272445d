//! A saga that has not ended at its deadline turns back.

use std::time::Duration;

use crate::build::{Run, done, retryable, steps, wait};

const DEADLINE: Duration = Duration::from_millis(500);

fn run() -> Run {
    Run::with_deadline(steps("a b"), Some(DEADLINE))
}

#[test]
fn while_a_step_waits() {
    let mut run = run();
    run.ends(done()).ends(wait("b", true));
    assert_eq!(run.state.due(), run.state.deadline);
    run.later(DEADLINE);
    assert_eq!((run.undone().as_str(), run.status()), ("b a", "compensated"));
    assert_eq!(run.state.cause().unwrap().code, "deadline-exceeded");
}

#[test]
fn when_the_running_attempt_has_ended() {
    let mut run = run();
    run.now = run.now.after(DEADLINE);
    run.ends(done());
    assert_eq!(run.undone(), "a");
}

#[test]
fn not_when_that_was_the_last_one() {
    let mut run = run();
    run.ends(done());
    run.now = run.now.after(DEADLINE);
    assert_eq!(run.ends(done()).status(), "completed");
}

#[test]
fn instead_of_another_attempt() {
    let mut run = run();
    run.ends(done());
    run.now = run.now.after(DEADLINE);
    assert_eq!(run.ends(retryable()).undone(), "a");
}

#[test]
fn an_undo_has_none() {
    let mut run = run();
    run.ends(done()).ends(wait("b", true)).later(DEADLINE).ends(wait("undo", true));
    assert!(run.state.due() > run.state.deadline);
}
