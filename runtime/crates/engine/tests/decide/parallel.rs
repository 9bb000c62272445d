//! Steps run as a graph: each when those it comes after have passed, and undone in the reverse of what happened.

use crate::build::{Run, done, graph, permanent, retryable, unknown, wait};

#[test]
fn a_step_opens_when_all_before_it_have_passed() {
    let mut run = Run::of(graph("a b<a c<a d<b,c"));
    assert_eq!(run.runs(), "a 1");
    assert_eq!(run.ends(done()).runs(), "b 1, c 1");
    assert_eq!(run.step_ends("c", done()).runs(), "b 1");
    assert_eq!(run.step_ends("b", done()).runs(), "d 1");
    assert_eq!(run.ends(done()).status(), "completed");
}

#[test]
fn several_may_begin_at_once() {
    let mut run = Run::of(graph("a b c<a,b"));
    assert_eq!(run.runs(), "a 1, b 1");
    assert_eq!(run.step_ends("b", done()).step_ends("a", done()).runs(), "c 1");
}

#[test]
fn siblings_end_before_the_saga_turns_back() {
    let mut run = Run::of(graph("a b c"));
    run.step_ends("b", permanent());
    assert_eq!((run.runs().as_str(), run.status()), ("-", "running"));
    run.step_ends("a", done());
    assert_eq!(run.status(), "running");
    assert_eq!(run.step_ends("c", done()).runs(), "undo c 1, undo a 1");
}

#[test]
fn a_sibling_that_fails_meanwhile_is_not_tried_again() {
    let mut run = Run::of(graph("a b"));
    run.step_ends("a", permanent()).step_ends("b", retryable());
    assert_eq!(run.status(), "failed");
}

#[test]
fn a_sibling_that_waits_is_undone_first() {
    let mut run = Run::of(graph("a b c<a"));
    run.step_ends("b", wait("b", true)).step_ends("a", done()).step_ends("c", permanent());
    assert_eq!(run.runs(), "undo b 1");
    assert_eq!(run.undone(), "b a");
}

#[test]
fn what_ran_in_parallel_is_undone_in_parallel() {
    let mut run = Run::of(graph("a b<a c<a d<b,c"));
    run.ends(done()).step_ends("b", done()).step_ends("c", done()).ends(permanent());
    assert_eq!(run.runs(), "undo c 1, undo b 1");
    assert_eq!(run.step_ends("b", done()).runs(), "undo c 1");
    assert_eq!(run.step_ends("c", done()).runs(), "undo a 1");
}

#[test]
fn what_the_graph_let_run_in_parallel_and_did_not_is_undone_in_order() {
    // b was done before d began, though neither waits for the other.
    let mut run = Run::of(graph("a b c d<c e<b,d"));
    run.step_ends("a", done()).step_ends("b", done()).step_ends("c", done());
    run.step_ends("d", done()).step_ends("e", permanent());
    assert_eq!(run.runs(), "undo d 1");
    assert_eq!(run.ends(done()).runs(), "undo c 1, undo b 1, undo a 1");
}

#[test]
fn a_step_that_may_have_happened_is_undone_before_those_that_did() {
    let mut run = Run::of(graph("a b"));
    run.step_ends("a", unknown()).step_ends("a", unknown()).step_ends("b", done());
    assert_eq!(run.runs(), "undo a 1");
    assert_eq!(run.undone(), "a b");
}

#[test]
fn a_cancel_waits_for_all_that_run() {
    let mut run = Run::of(graph("a b"));
    run.cancel_during_call().step_ends("b", done());
    assert_eq!(run.status(), "running");
    assert_eq!(run.step_ends("a", done()).runs(), "undo a 1, undo b 1");
}
