//! Sagas that a saga starts under a name: their ends reach the step that waits, and they turn back with their parent.

use uuid::Uuid;
use wasaga_domain::{
    clock::UnixMillis,
    ids::SagaId,
    mail::MailContent,
    outcome::{ChildEnd, Done, Effect, SagaStart, StepOutcome, Wait, WaitSource},
    payload::Payload,
    start::NewSaga,
    state::Status,
};

use crate::build::{Outcome, Run, done, permanent, steps, wait};

const CHILD: SagaId = SagaId(Uuid::from_u128(7));

fn start(saga: SagaId) -> Effect {
    let run = Run::of(steps("x"));
    let input = Payload::json("1");
    let saga = NewSaga::of(&run.definition, None, input, saga.0, UnixMillis(1));
    Effect::Start(Box::new(SagaStart { saga, child: Some("helper".into()) }))
}

fn starts(saga: SagaId) -> Outcome {
    Ok(StepOutcome::Done(Done {
        output: Payload::json("1"),
        undo: None,
        effects: vec![start(saga)],
    }))
}

fn waits(effects: Vec<Effect>) -> Outcome {
    let sources = vec![WaitSource::Child("helper".into())];
    Ok(StepOutcome::Wait(Wait { sources, timeout: None, effects, undo: None, memo: None }))
}

fn ended() -> MailContent {
    MailContent::Child(ChildEnd {
        saga: CHILD,
        status: Status::Completed,
        output: None,
        error: None,
    })
}

#[test]
fn an_end_wakes_the_step_that_waits_for_it() {
    let mut run = Run::of(steps("a"));
    run.ends(waits(vec![start(CHILD)]));
    assert_eq!(run.status(), "waiting");
    assert_eq!(run.mail(ended()).runs(), "resume a 1");
}

#[test]
fn an_end_that_came_before_is_kept() {
    let mut run = Run::of(steps("a b"));
    run.ends(starts(CHILD)).mail(ended());
    assert_eq!(run.ends(waits(Vec::new())).runs(), "resume b 1");
}

#[test]
fn those_that_run_are_cancelled_when_it_turns_back() {
    for (ends_before, cancels) in [(false, vec![CHILD]), (true, vec![])] {
        let mut run = Run::of(steps("a b"));
        run.ends(starts(CHILD));
        if ends_before {
            run.mail(ended());
        }
        run.ends(permanent());
        assert_eq!(run.last.as_ref().unwrap().cancels, cancels);
        assert_eq!(run.undone(), "a");
    }
}

#[test]
fn a_wait_for_nobody_is_a_failure() {
    let mut run = Run::of(steps("a b"));
    run.ends(done()).ends(waits(Vec::new()));
    assert_eq!(run.entries[1].error.as_ref().unwrap().code, "no-such-child");
    assert_eq!(run.undone(), "a");

    let mut run = Run::of(steps("a b"));
    run.ends(done()).reached_out = true;
    run.ends(waits(Vec::new()));
    assert_eq!(
        run.undone(),
        "b a",
        "what its guest sent before it asked for that may have been done"
    );
}

#[test]
fn a_wait_for_nobody_is_no_answer() {
    let mut run = Run::of(steps("a"));
    run.ends(wait("a", true)).reply(0, "a").ends(waits(Vec::new()));
    assert_eq!(run.undone(), "a");
}

#[test]
fn a_name_is_one_sagas() {
    let mut run = Run::of(steps("a b"));
    run.ends(starts(CHILD)).ends(starts(SagaId(Uuid::from_u128(8))));
    assert_eq!(run.entries[1].error.as_ref().unwrap().code, "child-exists");
    let mut run = Run::of(steps("a b"));
    assert_eq!(run.ends(starts(CHILD)).ends(starts(CHILD)).status(), "completed");
}
