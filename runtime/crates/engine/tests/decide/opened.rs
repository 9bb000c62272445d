//! A saga that SQL accepted opens when it is taken up for the first time.

use wasaga_domain::state::{Course, State};
use wasaga_engine::decide::Event;

use crate::build::{Run, done, graph};

fn accepted() -> Run {
    let mut run = Run::of(graph("a b"));
    run.state = serde_json::from_str(r#"{"course": "unopened"}"#).unwrap();
    run
}

#[test]
fn its_steps_open() {
    let mut run = accepted();
    assert_eq!(run.status(), "pending");
    run.happens(Event::Opened { refusal: None });
    assert!(run.journal.is_empty(), "a crash may repeat it");
    assert_eq!(run.runs(), "a 1, b 1");
    assert_eq!(run.step_ends("a", done()).step_ends("b", done()).status(), "completed");
}

#[test]
fn an_input_that_does_not_fit_fails_it() {
    let mut run = accepted();
    run.happens(Event::Opened { refusal: Some("no amount".into()) });
    assert!(run.journal.is_empty() && run.runs() == "-", "a crash may repeat it");
    run.happens(Event::Due);
    assert_eq!(
        (run.status(), &run.journal[..]),
        ("failed", &["undoing", "saga_failed"].map(String::from)[..])
    );
    assert_eq!(run.state.cause().unwrap().message, "no amount");
}

#[test]
fn mail_that_came_meanwhile_does_not_keep_it_open() {
    let mut run = accepted();
    run.happens(Event::Opened { refusal: Some("no amount".into()) }).cancel();
    assert_eq!((run.status(), run.journal.last().unwrap().as_str()), ("failed", "cancelled"));
}

#[test]
fn it_opens_once() {
    let mut run = accepted();
    run.happens(Event::Opened { refusal: None }).step_ends("a", done());
    let before: State = run.state.clone();
    run.happens(Event::Opened { refusal: Some("late".into()) });
    assert_eq!((run.state, Course::Forward), (before.clone(), before.course));
}

#[test]
fn mail_that_was_taken_in_before_is_not_taken_in_again() {
    let mut run = accepted();
    run.state.mail_seen = 3;
    run.happens(Event::Opened { refusal: None });
    assert_eq!((run.state.mail_seen, run.runs().as_str()), (3, "a 1, b 1"));
}
