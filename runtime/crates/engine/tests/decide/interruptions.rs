//! A lease that was not released counts as an attempt of what could have been running; three in a row need attention.

use wasaga_domain::mail::Verb;

use crate::build::{Run, attempts, done, permanent, step, steps, wait};

#[test]
fn a_released_lease_counts_nothing() {
    let mut run = Run::of(steps("a"));
    assert_eq!(run.claimed(0).runs(), "a 1");
}

#[test]
fn a_lost_lease_counts_an_attempt() {
    let mut run = Run::of(steps("a"));
    assert_eq!(run.claimed(1).runs(), "a 2");
    let last = run.last.as_ref().unwrap();
    assert!(last.entries.is_empty(), "nothing to commit: a crash only repeats it");
}

#[test]
fn a_paused_saga_may_have_been_running_too() {
    let mut run = Run::of(steps("a"));
    run.asks(Verb::Pause).claimed(3);
    assert_eq!((run.status(), run.runs().as_str()), ("paused", "-"));
    assert_eq!(run.resume().runs(), "a 4");
}

#[test]
fn an_interrupted_attempt_did_nothing_and_is_repeated_whatever_the_policy() {
    let mut only = step("a");
    only.retry = attempts(1);
    let mut run = Run::of(vec![only]);
    assert_eq!(run.claimed(2).runs(), "a 3");
    assert_eq!(run.ends(done()).status(), "completed");
}

#[test]
fn one_that_may_have_reached_out_may_have_done_something() {
    let mut run = Run::of(steps("a"));
    run.reaching_out = vec![0];
    run.claimed(0).ends(permanent());
    assert_eq!(run.status(), "failed", "nothing was interrupted");

    let mut run = Run::of(steps("a"));
    run.reaching_out = vec![0];
    run.claimed(1).ends(permanent());
    assert_eq!(run.undone(), "a");

    let mut run = Run::of(steps("a b"));
    run.reaching_out = vec![1];
    run.ends(done()).cancel_during_call().claimed(1);
    assert_eq!(run.undone(), "b a");
}

#[test]
fn three_in_a_row_need_attention() {
    let mut run = Run::of(steps("a"));
    run.claimed(3);
    assert_eq!(run.journal, ["interrupted", "needs_attention"]);
    assert_eq!(run.runs(), "-");
    assert_eq!(run.resume().runs(), "a 4");
}

#[test]
fn a_step_that_waits_was_not_running() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).claimed(3);
    assert_eq!(run.status(), "waiting");
    assert_eq!(run.reply(0, "a").state.open[0].attempt, 1);
}

#[test]
fn a_saga_that_was_to_stop_after_the_call_stops_without_it() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).cancel_during_call().claimed(1);
    assert_eq!(run.undone(), "a");
    assert_eq!(run.status(), "compensated");
}

#[test]
fn nor_does_mail_make_it_run_again() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).cancel_during_call().cancel();
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_saga_that_was_to_stop_while_it_resumed_counts_as_unknown() {
    let mut run = Run::of(steps("a b"));
    run.ends(wait("a", true)).reply(0, "a").cancel_during_call().claimed(1);
    assert_eq!(run.undone(), "a");
}
