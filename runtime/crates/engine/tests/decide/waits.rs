//! A wait is durable; a message, time or an operator ends it. Late messages are journalled.

use wasaga_domain::{
    definition::Undo,
    manifest::OnUndoFailure,
    outcome::{Arrival, StepOutcome, Wait},
    state::Activity,
};

use crate::build::{Run, STEP_TIMEOUT, done, permanent, retryable, source, steps, undo, wait};

fn arrival(run: &Run) -> &Arrival {
    match &run.state.open[0].activity {
        Activity::Resume(arrival) => arrival,
        other => panic!("it does not resume: {other:?}"),
    }
}

#[test]
fn a_message_resumes_the_step_that_waits_for_it() {
    let mut run = Run::of(steps("a b"));
    run.ends(wait("a", true));
    assert_eq!(run.status(), "waiting");
    run.reply(0, "a");
    assert!(matches!(arrival(&run), Arrival::Message { correlation, .. } if correlation == "a"));
    assert_eq!(run.ends(done()).runs(), "b 1");
    assert_eq!(run.journal, ["waiting a", "succeeded a"]);
}

#[test]
fn what_a_resume_is_handed_is_not_committed_by_itself() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).reply(0, "a");
    let last = run.last.unwrap();
    assert!(last.entries.is_empty() && !last.settles());
}

#[test]
fn the_first_source_ends_the_wait_and_the_second_is_late() {
    let mut run = Run::of(steps("a"));
    run.ends(Ok(StepOutcome::Wait(Wait {
        sources: vec![source("one"), source("two")],
        timeout: None,
        effects: Vec::new(),
        undo: None,
        memo: None,
    })));
    run.reply(0, "two").reply(0, "one");
    assert_eq!(run.runs(), "resume a 1");
    assert_eq!(run.journal, ["waiting a", "late_message a"]);
}

#[test]
fn a_message_that_nobody_waits_for_is_journalled() {
    let mut run = Run::of(steps("a"));
    run.reply(0, "a");
    assert_eq!(run.journal, ["late_message a"]);
    assert_eq!(run.entries[0].error.as_ref().unwrap().code, "late-message");
    assert_eq!(run.runs(), "a 1");
}

#[test]
fn a_message_for_another_step_does_not_end_the_wait() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(wait("b", true)).reply(0, "b").reply(1, "a");
    assert_eq!(run.status(), "waiting");
    assert_eq!(run.journal[2..], ["late_message a", "late_message b"]);
}

#[test]
fn time_ends_a_wait() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).later(STEP_TIMEOUT / 2);
    assert_eq!(run.runs(), "-");
    run.later(STEP_TIMEOUT / 2);
    assert_eq!(arrival(&run), &Arrival::TimedOut);
}

#[test]
fn a_wait_may_name_its_own_time() {
    let mut run = Run::of(steps("a"));
    run.ends(Ok(StepOutcome::Wait(Wait {
        sources: Vec::new(),
        timeout: Some(2 * STEP_TIMEOUT),
        effects: Vec::new(),
        undo: None,
        memo: None,
    })));
    assert_eq!(run.later(STEP_TIMEOUT).runs(), "-");
    assert_eq!(run.later(STEP_TIMEOUT).runs(), "resume a 1");
}

#[test]
fn a_resumed_step_may_wait_again_or_be_tried_again() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).reply(0, "a").ends(wait("b", false));
    assert_eq!(run.status(), "waiting");
    assert_eq!(run.reply(0, "b").ends(retryable()).runs(), "a 2");
}

#[test]
fn an_undo_may_wait_too() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(permanent()).ends(wait("a/undo", true));
    assert_eq!(run.status(), "compensating");
    assert_eq!(run.reply(0, "a/undo").runs(), "resume undo a 1");
    assert_eq!(run.ends(done()).status(), "compensated");
}

#[test]
fn the_wait_of_an_undo_ends_with_the_undos_own_time() {
    let mut all = steps("a b");
    all[0].undo = Some(Undo { timeout: 5 * STEP_TIMEOUT, ..undo(OnUndoFailure::NeedsAttention) });
    let mut run = Run::of(all);
    run.ends(done()).ends(permanent()).ends(wait("a/undo", true));
    assert_eq!(run.state.due(), Some(run.now.after(5 * STEP_TIMEOUT)));
}
