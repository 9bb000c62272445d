//! `#[steps]`, natively: each call goes to its handler, with what it asks for.

use serde::{Deserialize, Serialize};
use wasaga_guest::{
    handler::{Effects, Json},
    manifest::{Manifest, Saga, Step, Undo},
    message::Message,
    prelude::*,
    step::{Attempt, Done, Wait},
};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Order {
    id: String,
}

struct Shop;

impl Plugin for Shop {
    fn manifest() -> Manifest {
        let undone = |name: &str| Step::new(name).undo(Undo::new());
        let saga = Saga::new("shop", 1)
            .step(undone("reserve"))
            .step(undone("charge"))
            .step(Step::new("tell-all"));
        Manifest::new("shop", "1.0.0").saga(saga)
    }
}

#[wasaga_guest::steps]
impl Shop {
    #[guard("reserve")]
    fn wants_something(#[input] order: Order) -> Result<Verdict, Failure> {
        Ok(if order.id.is_empty() { Verdict::Skip } else { Verdict::Proceed })
    }

    #[step]
    fn reserve(#[input] order: Order, effects: &mut Effects) -> Result<Done, Failure> {
        effects.send(Message::new("reserved").json(&order));
        Ok(done_json(&order).undo_json(&order.id))
    }

    #[compensate("reserve")]
    fn release(#[undo] id: Option<String>, effects: &mut Effects) -> Result<(), Failure> {
        effects.send(Message::new("released").key(id.unwrap_or_else(|| "unknown".into())));
        Ok(())
    }

    #[step]
    fn charge(task: &StepTask) -> Result<Wait, Failure> {
        Ok(wait().signal("paid").memo(Payload::json(task.step())))
    }

    #[resume("charge")]
    fn charged(#[memo] memo: String, arrival: Arrival) -> Result<Json<(String, bool)>, Failure> {
        Ok(Json((memo, matches!(arrival, Arrival::TimedOut))))
    }

    #[compensate("charge")]
    fn refund() -> Result<Wait, Failure> {
        Ok(wait())
    }

    #[resume("charge", undo)]
    fn refunded(#[undo] id: String) -> Result<Json<String>, Failure> {
        Ok(Json(id))
    }

    #[step("tell-all")]
    fn tell() -> Result<(), Failure> {
        helper()
    }
}

fn helper() -> Result<(), Failure> {
    Err(Failure::retryable("asleep", "nobody listens"))
}

fn task(step: &str, direction: Direction) -> StepTask {
    StepTask {
        attempt: Attempt {
            saga_id: "s".into(),
            saga: "shop".into(),
            definition_version: 1,
            business_key: None,
            step: step.into(),
            direction,
            number: 1,
            idempotency_key: "k".into(),
            forward_key: "k".into(),
            deadline_ms: 1,
            traceparent: None,
        },
        input: Payload::json(&Order { id: "o-1".into() }),
    }
}

fn done_of(outcome: Result<Outcome, Failure>) -> (String, Vec<String>) {
    let Ok(Outcome::Done(done)) = outcome else { panic!("it is done: {outcome:?}") };
    let topics = done.effects.iter().map(|effect| match effect {
        Effect::Send(sent) => sent.message.topic.clone(),
        other => panic!("a message: {other:?}"),
    });
    (String::from_utf8(done.output.data).expect("JSON"), topics.collect())
}

#[test]
fn a_call_goes_to_its_handler() {
    let forward = |step: &str| task(step, Direction::Forward);
    let back = |step: &str| task(step, Direction::Undo);
    assert_eq!(
        done_of(<Shop as Steps>::execute(&forward("reserve"))),
        (r#"{"id":"o-1"}"#.into(), vec!["reserved".into()])
    );
    let undo = Some(Payload::json("o-1"));
    assert_eq!(
        done_of(<Shop as Steps>::compensate(&back("reserve"), undo.clone())),
        ("null".into(), vec!["released".into()])
    );
    assert_eq!(
        done_of(<Shop as Steps>::compensate(&back("reserve"), None)).1,
        ["released".to_owned()],
        "without undo data too"
    );
    let Ok(Outcome::Wait(waits)) = <Shop as Steps>::execute(&forward("charge")) else {
        panic!("it waits")
    };
    assert_eq!(
        done_of(<Shop as Steps>::resume(&forward("charge"), waits.memo, None, Arrival::TimedOut)).0,
        r#"["charge",true]"#
    );
    assert_eq!(
        done_of(<Shop as Steps>::resume(&back("charge"), None, undo, Arrival::TimedOut)).0,
        r#""o-1""#
    );
    assert!(matches!(<Shop as Steps>::guard(&forward("reserve")), Ok(Verdict::Proceed)));
    assert!(matches!(<Shop as Steps>::guard(&forward("charge")), Ok(Verdict::Proceed)));
    assert!(matches!(<Shop as Steps>::execute(&forward("tell-all")), Err(Failure::Retryable(_))));
}

#[test]
fn what_is_not_handled_fails_as_it_does_by_hand() {
    let code = |failed: Result<Outcome, Failure>| match failed {
        Err(failure) => failure.detail().code.clone(),
        Ok(outcome) => panic!("{outcome:?}"),
    };
    let forward = |step: &str| task(step, Direction::Forward);
    assert_eq!(code(<Shop as Steps>::execute(&forward("other"))), "unknown-step");
    assert_eq!(code(<Shop as Steps>::compensate(&forward("tell-all"), None)), "no-undo");
    let resumed = <Shop as Steps>::resume(&forward("reserve"), None, None, Arrival::TimedOut);
    assert_eq!(code(resumed), "no-resume");
    let resumed = <Shop as Steps>::resume(&forward("charge"), None, None, Arrival::TimedOut);
    assert_eq!(code(resumed), "nothing-left");
}
