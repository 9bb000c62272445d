//! Past a pivot a saga only goes forward.

use std::time::Duration;

use wasaga_domain::{definition::Step, mail::Verb};

use crate::build::{
    Run, attempts, done, graph, permanent, rejected, retryable, step, steps, unknown, wait,
};

/// a, the pivot p that nothing undoes, c.
fn past() -> Run {
    let mut all = steps("a p c");
    (all[1].pivot, all[1].undo) = (true, None);
    Run::of(all)
}

#[test]
fn before_it_the_saga_turns_back() {
    let mut run = past();
    run.ends(done()).ends(permanent());
    assert_eq!((run.undone().as_str(), run.status()), ("a", "compensated"));
}

#[test]
fn past_it_a_step_is_tried_without_end() {
    let mut run = past();
    run.ends(done()).ends(done());
    for attempt in 1..20 {
        assert_eq!(run.runs(), format!("c {attempt}"));
        run.ends(retryable());
        let insists = run.last.as_ref().unwrap().insists.clone();
        assert_eq!(insists, if attempt < 2 { vec![] } else { vec![2] });
        run.later(Duration::from_secs(10));
    }
    assert_eq!(run.ends(done()).status(), "completed");
}

#[test]
fn past_it_what_never_will_succeed_asks_for_an_operator() {
    for outcome in [permanent(), rejected()] {
        let mut run = past();
        run.ends(done()).ends(done()).ends(outcome);
        assert_eq!((run.status(), run.runs().as_str()), ("needs_attention", "-"));
        assert_eq!(run.resume().runs(), "c 2");
        assert_eq!(run.ends(done()).status(), "completed");
    }
}

#[test]
fn past_it_no_cancel_turns_it_back() {
    let mut run = past();
    run.ends(done()).ends(done()).cancel();
    assert_eq!(run.journal.last().unwrap(), "declined");
    assert_eq!(run.ends(done()).status(), "completed");
}

#[test]
fn past_it_no_deadline_turns_it_back() {
    let mut run = Run::with_deadline(
        vec![Step { pivot: true, ..step("a") }, Step { after: vec![0], ..step("b") }],
        Some(Duration::from_secs(1)),
    );
    run.ends(done()).later(Duration::from_secs(2));
    assert_eq!(run.ends(done()).status(), "completed");
}

#[test]
fn a_pivot_in_doubt_that_nothing_undoes_is_past() {
    let mut run = past();
    run.ends(done()).ends(unknown()).ends(unknown());
    assert_eq!(run.status(), "running");
    run.cancel();
    assert_eq!(run.journal.last().unwrap(), "declined");
    run.later(Duration::from_secs(10)).ends(permanent());
    assert_eq!(run.status(), "needs_attention");
}

#[test]
fn an_answer_ends_the_doubt() {
    let mut run = past();
    run.ends(done()).ends(wait("p", true));
    assert!(run.state.pivoted);
    run.reply(1, "p").ends(permanent());
    assert_eq!((run.undone().as_str(), run.status()), ("a", "compensated"));
}

#[test]
fn what_asked_for_an_operator_while_the_pivot_was_in_doubt_turns_back_with_it() {
    let mut all = graph("p b");
    (all[0].pivot, all[0].undo) = (true, None);
    let mut run = Run::of(all);
    run.step_ends("p", wait("p", true)).reply(0, "p").step_ends("b", permanent());
    assert_eq!(run.status(), "needs_attention");
    assert_eq!(run.step_ends("p", permanent()).status(), "failed");
}

#[test]
fn a_pivot_that_is_undone_is_not_past_while_it_waits() {
    let mut all = steps("a p");
    all[1].pivot = true;
    let mut run = Run::of(all);
    run.ends(done()).ends(wait("p", true)).cancel();
    assert_eq!(run.undone(), "p a");
}

#[test]
fn a_policy_that_never_retries_is_slowed_down() {
    let mut all = steps("p b");
    all[0].pivot = true;
    all[1].retry = attempts(1);
    let mut run = Run::of(all);
    run.ends(done()).ends(retryable());
    assert_eq!(run.runs(), "-");
    assert_eq!(run.later(Duration::from_secs(10)).runs(), "b 2");
}

#[test]
fn what_an_operator_passes_over_counts_as_passed() {
    let mut run = past();
    run.ends(done()).ends(done()).ends(permanent()).asks(Verb::Skip { step: "c".into() });
    assert_eq!(run.status(), "completed");
    assert_eq!(run.journal[3..], ["needs_attention", "passed_over c", "completed"]);
}
