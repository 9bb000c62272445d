//! Undo runs in reverse order of completion, and only where there is something to undo.

use wasaga_domain::manifest::OnUndoFailure;

use crate::build::{Run, done, permanent, steps, undo, unknown};

#[test]
fn in_reverse_order_of_completion() {
    let mut run = Run::of(steps("a b c d"));
    run.ends(done()).ends(done()).ends(done()).ends(permanent());
    assert_eq!(run.undone(), "c b a");
    assert_eq!(run.status(), "compensated");
}

#[test]
fn one_at_a_time() {
    let mut run = Run::of(steps("a b c"));
    run.ends(done()).ends(done()).ends(permanent());
    assert_eq!(run.runs(), "undo b 1");
    assert_eq!(run.ends(done()).runs(), "undo a 1");
}

#[test]
fn a_step_that_may_have_happened_is_the_last_one_completed() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(unknown()).ends(permanent());
    assert!(run.state.overtaken.is_empty(), "its place says all there is to know");
    assert_eq!(run.undone(), "b a");
}

#[test]
fn steps_without_undo_are_passed_over() {
    let mut all = steps("a b c");
    all[1].undo = None;
    let mut run = Run::of(all);
    run.ends(done()).ends(done()).ends(permanent());
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_saga_with_nothing_to_undo_failed() {
    let mut all = steps("a b");
    all[0].undo = None;
    let mut run = Run::of(all);
    run.ends(done()).ends(permanent());
    assert_eq!(run.status(), "failed");
    assert_eq!(run.journal, ["succeeded a", "failed b", "undoing", "saga_failed"]);
}

#[test]
fn what_was_passed_over_is_undone_later_in_the_same_order() {
    let mut all = steps("a b c d");
    for step in [0, 2] {
        all[step].undo = Some(undo(OnUndoFailure::GoOn));
    }
    let mut run = Run::of(all);
    run.ends(done()).ends(done()).ends(done()).ends(permanent());
    run.ends(permanent()).ends(done()).ends(permanent());
    assert_eq!(run.status(), "needs_attention");
    assert_eq!(run.undone(), "b");
    run.resume();
    assert_eq!(run.undone(), "b c a");
    assert_eq!(run.status(), "compensated");
}
