//! An undo that is exhausted needs attention, never a silent line in a log; resume tries it again.

use std::time::Duration;

use wasaga_domain::{journal::EntryKind, manifest::OnUndoFailure, retry::RetryPolicy};

use crate::build::{Run, done, permanent, retryable, step, steps, undo, unknown, wait};

fn stuck() -> Run {
    let mut run = Run::of(steps("a b c"));
    run.ends(done()).ends(done()).ends(permanent()).ends(unknown()).ends(retryable());
    run
}

#[test]
fn an_exhausted_undo_stops_the_saga() {
    let run = stuck();
    assert_eq!(run.status(), "needs_attention");
    assert_eq!(run.runs(), "-");
    assert_eq!(run.state.due(), None);
    let tail = ["undo retrying b", "undo failed b", "needs_attention"];
    assert_eq!(run.journal[run.journal.len() - 3..], tail);
    let why = |kind: EntryKind| {
        let entry = run.entries.iter().rfind(|entry| entry.kind == kind);
        entry.and_then(|entry| entry.error.as_ref()).map(|error| error.code.as_str())
    };
    assert_eq!(why(EntryKind::Undoing), Some("permanent"), "the history says why it turned back");
    assert_eq!(why(EntryKind::NeedsAttention), Some("retryable"), "and why it asks");
}

#[test]
fn resume_gives_the_undo_all_its_attempts_again() {
    let mut run = stuck();
    assert_eq!(run.resume().runs(), "undo b 3");
    assert_eq!(run.ends(retryable()).runs(), "undo b 4");
    assert_eq!(run.ends(retryable()).status(), "needs_attention");
    run.resume();
    assert_eq!(run.undone(), "b a");
    assert_eq!(run.status(), "compensated");
}

#[test]
fn a_permanent_undo_failure_is_not_tried_again() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(permanent()).ends(permanent());
    assert_eq!(run.status(), "needs_attention");
}

#[test]
fn go_on_undoes_the_others_before_it_asks() {
    let mut all = steps("a b c");
    all[1].undo = Some(undo(OnUndoFailure::GoOn));
    let mut run = Run::of(all);
    run.ends(done()).ends(done()).ends(permanent()).ends(permanent());
    assert_eq!(run.runs(), "undo a 1");
    assert_eq!(run.ends(done()).status(), "needs_attention");
    assert!(run.state.attention.as_ref().unwrap().message.contains("undo of b gave up"));
}

#[test]
fn nothing_but_an_operator_moves_it() {
    let mut run = stuck();
    run.later(Duration::from_hours(1)).claimed(1).reply(1, "b").cancel();
    assert_eq!(run.status(), "needs_attention");
    assert_eq!(run.runs(), "-");
}

#[test]
fn resume_makes_a_back_off_due_now() {
    let mut only = step("a");
    only.retry = RetryPolicy::Fixed { delay_ms: 60_000, max_attempts: None };
    let mut run = Run::of(vec![only]);
    assert_eq!(run.ends(retryable()).runs(), "-");
    assert_eq!(run.resume().runs(), "a 2");
}

#[test]
fn resume_ends_a_wait_as_time_does() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).resume();
    assert_eq!(run.runs(), "resume a 1");
    assert_eq!(run.ends(permanent()).undone(), "a");
}
