//! What operators ask for: each request is in the history with who and why, and one that is not possible changes
//! nothing.

use std::time::Duration;

use wasaga_domain::{mail::Verb, manifest::OnUndoFailure, payload::Payload};

use crate::build::{Run, done, graph, permanent, retryable, steps, undo, wait};

fn retry(step: &str) -> Verb {
    Verb::Retry { step: step.into(), module: None }
}

fn skip(step: &str) -> Verb {
    Verb::Skip { step: step.into() }
}

fn supply(step: &str) -> Verb {
    Verb::SupplyUndo { step: step.into(), undo: Payload::json("2") }
}

/// b's undo has given up.
fn stuck() -> Run {
    let mut run = Run::of(steps("a b c"));
    run.ends(done()).ends(done()).ends(permanent()).ends(permanent());
    assert_eq!(run.status(), "needs_attention");
    run
}

#[test]
fn who_and_why_are_in_the_history() {
    let mut run = stuck();
    run.asks(retry("b"));
    let asked = run.entries.last().unwrap();
    assert_eq!(asked.by.as_deref(), Some("an operator"));
    assert_eq!(asked.error.as_ref().unwrap().message, "asked");
}

#[test]
fn an_undo_that_gave_up_is_tried_again() {
    let mut run = stuck();
    assert_eq!(run.asks(retry("b")).runs(), "undo b 2");
    assert_eq!((run.undone().as_str(), run.status()), ("b a", "compensated"));
}

#[test]
fn an_undo_that_gave_up_is_passed_over() {
    let mut run = stuck();
    run.asks(skip("b"));
    assert_eq!(run.journal.last().unwrap(), "undo passed_over b");
    assert_eq!((run.undone().as_str(), run.status()), ("a", "compensated"));
}

#[test]
fn an_undo_gets_what_it_needs_to_know() {
    let mut run = stuck();
    run.asks(supply("b"));
    assert_eq!(run.entries.last().unwrap().undo, Some(Payload::json("2")));
    assert_eq!(
        (run.runs().as_str(), run.journal.last().unwrap().as_str()),
        ("undo b 2", "undo undo_supplied b")
    );
}

#[test]
fn what_is_left_is_resolved() {
    let mut run = stuck();
    run.asks(Verb::Resolve);
    assert_eq!(run.journal[run.journal.len() - 2..], ["resolved", "saga_failed"]);
    assert_eq!(run.runs(), "-");
}

#[test]
fn leftovers_are_tried_again_or_passed_over_one_by_one() {
    let mut all = steps("a b c");
    for step in [0, 1] {
        all[step].undo = Some(undo(OnUndoFailure::GoOn));
    }
    let mut run = Run::of(all);
    run.ends(done()).ends(done()).ends(permanent()).ends(permanent()).ends(permanent());
    assert_eq!(run.status(), "needs_attention");
    assert_eq!(run.asks(retry("a")).ends(done()).status(), "needs_attention");
    assert_eq!(run.asks(skip("b")).status(), "compensated");
}

#[test]
fn one_stuck_undo_does_not_speak_for_another() {
    let mut run = Run::of(graph("a b c<a,b"));
    run.step_ends("a", done()).step_ends("b", done()).ends(permanent());
    run.step_ends("a", permanent()).step_ends("b", permanent());
    assert_eq!(run.asks(retry("a")).status(), "needs_attention");
    assert_eq!(run.asks(skip("b")).runs(), "undo a 2");
}

/// a was to go on with its answer when its hosts were lost.
fn interrupted() -> Run {
    let mut run = Run::of(steps("a b"));
    run.ends(wait("a", true)).reply(0, "a").claimed(3);
    assert_eq!(run.status(), "needs_attention");
    run
}

#[test]
fn what_came_for_an_interrupted_step_is_handed_over_when_it_is_retried() {
    assert_eq!(interrupted().asks(retry("a")).runs(), "resume a 5");
}

#[test]
fn an_interrupted_step_that_is_passed_over_may_have_happened() {
    let mut run = interrupted();
    assert_eq!(run.asks(skip("a")).runs(), "b 1");
    assert_eq!(run.ends(permanent()).undone(), "a");
}

#[test]
fn nothing_is_resolved_while_a_step_runs() {
    let mut run = Run::of(graph("a b c<a,b"));
    run.step_ends("a", done()).step_ends("b", done()).ends(permanent());
    run.step_ends("a", permanent()).asks_during_calls(Verb::Resolve);
    assert_eq!(
        (run.status(), run.journal.last().unwrap().as_str()),
        ("needs_attention", "declined")
    );
    run.step_ends("b", done()).asks(Verb::Resolve);
    assert_eq!(run.status(), "compensated");
}

#[test]
fn a_paused_saga_calls_nobody_until_it_is_resumed() {
    let mut run = Run::of(steps("a b"));
    run.ends(retryable()).asks(Verb::Pause).later(Duration::from_secs(5));
    assert_eq!((run.status(), run.runs().as_str(), run.state.due()), ("paused", "-", None));
    assert_eq!(run.resume().runs(), "a 2");
}

#[test]
fn a_paused_saga_takes_its_reply() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).asks(Verb::Pause).reply(0, "a");
    assert_eq!(run.status(), "paused");
    assert_eq!(run.resume().runs(), "resume a 1");
}

#[test]
fn a_paused_saga_can_be_cancelled() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).asks(Verb::Pause).cancel();
    assert_eq!(run.undone(), "a");
}

#[test]
fn an_undo_can_be_paused() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(permanent()).asks(Verb::Pause);
    assert_eq!((run.status(), run.runs().as_str()), ("paused", "-"));
    assert_eq!(run.resume().undone(), "a");
}

#[test]
fn what_is_not_possible_is_declined_and_changes_nothing() {
    for verb in [retry("a"), skip("a"), supply("a"), retry("nobody"), Verb::Resolve] {
        let mut run = Run::of(steps("a b"));
        run.ends(done());
        let before = run.state.clone();
        run.asks(verb);
        assert_eq!(run.journal.last().unwrap(), "declined");
        assert_eq!((run.state.open, run.state.course), (before.open, before.course));
    }
}
