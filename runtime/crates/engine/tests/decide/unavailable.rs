//! Nobody could be called: the attempt is put off, and counts as none.

use std::time::Duration;

use wasaga_domain::outcome::Arrival;
use wasaga_domain::state::Activity;

use crate::build::{Run, attempts, done, permanent, step, steps, unavailable, wait};

#[test]
fn it_is_put_off_without_counting() {
    let mut only = step("a");
    only.retry = attempts(1);
    let mut run = Run::of(vec![only]);
    for _ in 0..5 {
        run.ends(unavailable());
        let last = run.last.as_ref().unwrap();
        assert!(last.settles() && last.entries.is_empty());
        assert!(last.state.due().unwrap() > run.now);
        run.later(Duration::from_secs(2));
    }
    assert_eq!(run.runs(), "a 1");
    assert_eq!(run.ends(done()).status(), "completed");
}

#[test]
fn an_arrival_is_kept_for_whoever_can_take_it() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).reply(0, "a").ends(unavailable());
    run.later(Duration::from_secs(2));
    let open = &run.state.open[0];
    assert!(matches!(open.activity, Activity::Resume(Arrival::Message { .. })));
}

#[test]
fn an_undo_is_put_off_too() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(permanent()).ends(unavailable());
    assert!(run.last.as_ref().unwrap().settles());
    run.later(Duration::from_secs(2));
    assert_eq!(run.undone(), "a");
}
