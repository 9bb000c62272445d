//! Moving a saga to another version of its definition: what it has done keeps its meaning, or it stays.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wasaga_domain::{
    clock::UnixMillis,
    definition::{Definition, Pins, Step},
    ids::Digest,
    manifest::OnUndoFailure,
    outcome::StepOutcome,
    state::State,
};
use wasaga_engine::decide::migrate;

use crate::build::{Outcome, Run, done, graph, permanent, retryable, steps, undo, unknown, wait};

/// Version 2.
fn version(steps: Vec<Step>) -> Definition {
    Definition { version: 2, ..Run::of(steps).definition }
}

fn names(map: &str) -> BTreeMap<String, String> {
    let pairs = map.split(' ').filter_map(|pair| pair.split_once('='));
    pairs.map(|(old, new)| (old.to_owned(), new.to_owned())).collect()
}

fn moved(run: &Run, to: &Definition, map: &str) -> Result<State, Vec<String>> {
    let moved = migrate(&run.definition, &run.state, to, &names(map), run.now);
    moved.map(|(state, _)| state)
}

fn refused(run: &Run, to: Vec<Step>, map: &str) -> String {
    moved(run, &version(to), map).expect_err("it can't be moved").join("; ")
}

/// a is done, b runs.
fn at_b(all: &str) -> Run {
    let mut run = Run::of(steps(all));
    run.ends(done());
    run
}

fn without_undo(mut all: Vec<Step>, name: &str) -> Vec<Step> {
    let step = all.iter_mut().find(|step| &*step.name == name).unwrap();
    step.undo = None;
    all
}

fn with_pivot(mut all: Vec<Step>, name: &str) -> Vec<Step> {
    let step = all.iter_mut().find(|step| &*step.name == name).unwrap();
    step.pivot = true;
    all
}

#[test]
fn the_new_version_runs_its_own_code() {
    let mut run = at_b("a b");
    let module =
        |name: &str| Pins::from([("worker".parse().unwrap(), Digest::of(name.as_bytes()))]);
    run.state.pins = module("old");
    let to = Definition { pins: module("new"), ..version(steps("a b")) };
    assert_eq!(moved(&run, &to, "").unwrap().pins, module("new"));
}

#[test]
fn what_has_not_begun_may_come_go_and_change_places() {
    let mut run = at_b("a b c d");
    run.migrates(version(steps("a b e c")), &names(""));
    assert_eq!((run.runs().as_str(), run.journal.last().unwrap().as_str()), ("b 1", "migrated"));
    assert_eq!(run.ends(done()).runs(), "e 1");
    assert_eq!(run.ends(done()).ends(done()).status(), "completed");
    let asked = run.entries.iter().find(|entry| entry.by.is_some()).unwrap();
    assert_eq!(asked.by.as_deref(), Some("an operator"));
    assert_eq!(asked.error.as_ref().unwrap().message, "from version 1 to 2: asked");
}

#[test]
fn a_renamed_step_goes_on_and_keeps_its_first_name_for_its_keys() {
    let mut run = at_b("a b c");
    run.ends(retryable());
    run.migrates(version(steps("x y c")), &names("a=x b=y"));
    assert_eq!(run.runs(), "y 2");
    let first = |step| run.state.name_of(&run.definition, step).to_owned();
    assert_eq!([0, 1, 2].map(first), ["a", "b", "c"]);
    assert_eq!(run.ends(done()).ends(permanent()).undone(), "y x");
}

#[test]
fn a_step_that_has_no_predecessor_left_opens() {
    let mut run = Run::of(graph("a b<a"));
    run.ends(done());
    run.migrates(version(graph("a b<a x<a")), &names(""));
    assert_eq!(run.runs(), "b 1, x 1");
}

#[test]
fn a_reply_finds_its_step_in_its_new_place() {
    let mut run = at_b("a b");
    run.ends(wait("b", true));
    run.migrates(version(graph("b<a a")), &names(""));
    // It was posted for the old place.
    assert_eq!(run.reply(1, "b").runs(), "resume b 1");
}

#[test]
fn only_a_wait_that_moves_keeps_its_place_in_mind() {
    let was_after = |outcome: Outcome, to: &str| {
        let mut run = at_b("a b");
        run.ends(outcome).migrates(version(graph(to)), &names(""));
        run.state.open[0].was.clone()
    };
    assert_eq!(was_after(wait("b", true), "b<a a"), [1]);
    assert_eq!(was_after(wait("b", true), "a b<a"), [0u16; 0]);
    assert_eq!(was_after(retryable(), "b<a a"), [0u16; 0]);
}

#[test]
fn on_the_way_back_the_order_of_the_definition_does_not_count() {
    let mut run = Run::of(steps("a b c"));
    run.ends(done()).ends(done()).ends(permanent());
    assert_eq!(run.runs(), "undo b 1");
    run.migrates(version(steps("b new a")), &names(""));
    assert_eq!((run.undone().as_str(), run.status()), ("b a", "compensated"));
}

#[test]
fn what_cannot_be_told_is_refused_by_name() {
    let a_is_done = "its step \"a\" is done, and version 2 ";
    let b_has_begun = "its step \"b\" has begun, and version 2 ";
    for (to, map, step, says) in [
        (steps("b c"), "", a_is_done, "has no step \"a\""),
        (steps("a b c"), "a=z", a_is_done, "has no step \"z\""),
        (steps("a c"), "", b_has_begun, "has no step \"b\""),
        (steps("a x b c"), "", b_has_begun, "wants \"x\" before it, which has not passed"),
        (steps("b a c"), "", a_is_done, "wants \"b\" before it"),
        (without_undo(steps("a b c"), "a"), "", "its step \"a\" may have to be undone", "no undo"),
        (steps("a b c"), "q=a", "version 1", "has no step \"q\""),
        (steps("a b c"), "c=q", "version 2", "has no step \"q\""),
        (steps("a b c"), "a=b", "its steps \"a\" and \"b\"", "would both be \"b\""),
        (steps("x b a"), "a=x", "its step \"a\" would get another name", "idempotency keys"),
    ] {
        let refusal = refused(&at_b("a b c"), to, map);
        assert!(refusal.contains(step) && refusal.contains(says), "{map}: {refusal}");
    }
}

#[test]
fn an_order_that_contradicts_what_has_run_is_refused() {
    let mut run = Run::of(steps("a b c"));
    run.ends(done()).ends(done());
    let refusal = refused(&run, steps("b a c"), "");
    assert_eq!(
        refusal,
        "its step \"a\" was done before \"b\", and version 2 wants them the other way round"
    );
    // Also through a step that had nothing to do.
    let mut run = Run::of(graph("a b s c<a,b,s"));
    run.step_ends("a", done()).step_ends("b", done());
    run.step_ends("s", Ok(StepOutcome::Skipped));
    let refusal = refused(&run, graph("b s<b a<s c<a,b,s"), "");
    assert!(refusal.contains("the other way round"), "{refusal}");
    assert!(refused(&run, graph("a b c<a,b"), "").contains("its step \"s\" was passed"));
}

#[test]
fn what_may_have_happened_needs_its_undo() {
    let mut run = Run::of(steps("a b"));
    assert!(moved(&run, &version(without_undo(steps("a b"), "a")), "").is_ok(), "nothing happened");
    run.ends(unknown());
    assert!(refused(&run, without_undo(steps("a b"), "a"), "").contains("may have to be undone"));
    let mut run = Run::of(without_undo(steps("a b c"), "a"));
    run.ends(done()).ends(done());
    assert!(moved(&run, &version(steps("a b c")), "").is_ok(), "it can be undone from now on");
    run.ends(permanent());
    assert!(refused(&run, steps("a b c"), "").contains("being undone without its step \"a\""));
}

#[test]
fn what_is_undone_needs_its_undo_no_more_unless_it_is_left_over() {
    let back_at_a = |of_b: OnUndoFailure, ends: Outcome| {
        let mut all = steps("a b c");
        all[1].undo = Some(undo(of_b));
        let mut run = Run::of(all);
        run.ends(done()).ends(done()).ends(permanent()).ends(ends);
        assert_eq!(run.runs(), "undo a 1");
        moved(&run, &version(without_undo(steps("a b c"), "b")), "")
    };
    assert!(back_at_a(OnUndoFailure::NeedsAttention, done()).is_ok());
    let refusal = back_at_a(OnUndoFailure::GoOn, permanent()).unwrap_err().join("; ");
    assert!(refusal.contains("its step \"b\" may have to be undone"), "{refusal}");
}

#[test]
fn a_passed_pivot_stays_one() {
    let mut run = Run::of(with_pivot(steps("a b"), "a"));
    run.ends(done());
    assert!(refused(&run, steps("a b"), "").contains("it is past its pivot, and in version 2"));
    run.migrates(version(with_pivot(steps("x b"), "x")), &names("a=x"));
    assert!(run.state.pivoted);
    let mut run = at_b("a b");
    run.migrates(version(with_pivot(steps("a b"), "a")), &names(""));
    assert!(run.state.pivoted, "a pivot of the new version has passed");
}

#[test]
fn a_saga_that_stays_says_why_and_changes_nothing() {
    let mut run = at_b("a b");
    let before = run.state.clone();
    run.migrates(version(steps("x b")), &names(""));
    assert_eq!(run.journal.last().unwrap(), "declined");
    let why = &run.entries.last().unwrap().error.as_ref().unwrap().message;
    assert!(why.starts_with("migrate was declined: its step \"a\" is done"), "{why}");
    assert_eq!(State { mail_seen: 0, ..run.state }, before);
    let mut run = at_b("a");
    assert_eq!(run.status(), "completed");
    run.migrates(version(steps("a")), &names(""));
    assert!(run.entries.last().unwrap().error.as_ref().unwrap().message.contains("it has ended"));
}

/// A graph of up to six steps, each with a few of those before it; some are pivots, some have no undo.
fn graphs() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((any::<u8>(), 0..8u8, 0..4u8), 1..7).prop_map(|parts| {
        let names: Vec<_> = (0..parts.len()).map(|place| format!("s{place}")).collect();
        let mut all = steps(&names.join(" "));
        for (place, (after, pivot, undo)) in parts.into_iter().enumerate() {
            all[place].after =
                (0..place as u16).filter(|before| after >> before & 1 == 1).collect();
            all[place].pivot = pivot == 0;
            all[place].undo = all[place].undo.take().filter(|_| undo > 0);
        }
        all
    })
}

fn outcome(choice: u8) -> Outcome {
    match choice % 8 {
        0 => permanent(),
        1 => retryable(),
        2 => unknown(),
        3 => Ok(StepOutcome::Skipped),
        4 => wait(&choice.to_string(), choice > 127),
        _ => done(),
    }
}

/// A saga to which this happened.
fn led(all: Vec<Step>, choices: &[u8]) -> Run {
    let mut run = Run::of(all);
    for choice in choices {
        let running: Vec<_> = run.state.runnable().map(|open| open.step).collect();
        let undoing = run.state.cause().is_some();
        if running.is_empty() {
            break;
        }
        let step = running[usize::from(choice / 8) % running.len()];
        let name = run.definition.steps[usize::from(step)].name.clone();
        run.step_ends(&name, if undoing { done() } else { outcome(*choice) });
    }
    run
}

/// The same definition with other names, and its steps in the order of these keys; and the map to it.
fn shuffled(from: &Definition, keys: &[u8]) -> (Definition, BTreeMap<String, String>) {
    let mut order: Vec<u16> = (0..from.steps.len() as u16).collect();
    order.sort_by_key(|step| keys[usize::from(*step)]);
    let place = |step: u16| order.iter().position(|old| *old == step).unwrap() as u16;
    let renamed = |step: u16| format!("t{step}");
    let step = |&old: &u16| {
        let step = from.steps[usize::from(old)].clone();
        let after = step.after.iter().map(|before| place(*before)).collect();
        Step { name: renamed(old).into(), after, ..step }
    };
    let steps = order.iter().map(step).collect();
    let map = (0..).zip(&from.steps).map(|(old, step)| (step.name.to_string(), renamed(old)));
    (Definition { version: 2, steps, ..from.clone() }, map.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn to_the_same_definition_is_no_change_and_there_and_back_neither(
        all in graphs(),
        choices in prop::collection::vec(any::<u8>(), 0..20),
        keys in prop::array::uniform6(any::<u8>()),
    ) {
        let run = led(all, &choices);
        let (from, state, now) = (&run.definition, &run.state, UnixMillis(5_000_000));
        let same = migrate(from, state, from, &BTreeMap::new(), now);
        if state.is_over() {
            prop_assert!(same.is_err());
            return Ok(());
        }
        prop_assert_eq!(&same.unwrap().0, state);
        let (to, map) = shuffled(from, &keys);
        let (there, places) = migrate(from, state, &to, &map, now).unwrap();
        for (old, new) in state.open.iter().zip(&there.open) {
            prop_assert_eq!(places[usize::from(old.step)], Some(new.step));
            prop_assert_eq!(there.name_of(&to, new.step), state.name_of(from, old.step));
        }
        let back = map.into_iter().map(|(old, new)| (new, old)).collect();
        prop_assert_eq!(&migrate(&to, &there, from, &back, now).unwrap().0, state);
    }
}
