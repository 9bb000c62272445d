//! Signals reach the step that waits for them, or are kept for the one that will.

use wasaga_domain::outcome::{StepOutcome, Wait, WaitSource};

use crate::build::{Outcome, Run, done, graph, permanent, steps};

fn waits(names: &[&str]) -> Outcome {
    let sources = names.iter().map(|name| WaitSource::Signal((*name).into())).collect();
    Ok(StepOutcome::Wait(Wait {
        sources,
        timeout: None,
        effects: Vec::new(),
        undo: None,
        memo: None,
    }))
}

#[test]
fn a_signal_wakes_the_step_that_waits_for_it() {
    let mut run = Run::of(steps("a"));
    run.ends(waits(&["go"])).signal("other");
    assert_eq!(run.status(), "waiting");
    assert_eq!(run.signal("go").runs(), "resume a 1");
}

#[test]
fn a_signal_that_came_early_is_kept() {
    let mut run = Run::of(steps("a b"));
    run.signal("go").ends(done());
    assert_eq!(run.ends(waits(&["stop", "go"])).runs(), "resume b 1");
    assert!(run.state.signals.is_empty());
}

#[test]
fn early_ones_are_handed_over_in_their_order() {
    let mut run = Run::of(steps("a"));
    run.signal("x").signal("y").ends(waits(&["y", "x"]));
    assert_eq!(run.state.signals.len(), 1);
    assert_eq!(run.state.signals[0].name, "y");
}

#[test]
fn one_signal_wakes_one_step() {
    let mut run = Run::of(graph("a b"));
    run.step_ends("a", waits(&["go"])).step_ends("b", waits(&["go"])).signal("go");
    assert_eq!(run.runs(), "resume a 1");
    assert_eq!(run.signal("go").runs(), "resume a 1, resume b 1");
}

#[test]
fn more_than_can_be_kept_are_dropped_and_told() {
    let mut run = Run::of(steps("a"));
    for _ in 0..65 {
        run.signal("go");
    }
    assert_eq!(run.state.signals.len(), 64);
    assert_eq!(run.journal, ["late_message"]);
}

#[test]
fn an_undo_may_wait_for_one() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(permanent()).ends(waits(&["go"])).signal("go");
    assert_eq!(run.runs(), "resume undo a 1");
}
