//! What a step returned stands in its journal entry: the ledger is made of it.

use wasaga_domain::{
    outcome::{Done, StepOutcome},
    payload::Payload,
};

use crate::build::{Outcome, Run, permanent, steps};

fn returns(output: &str, undo: Option<&str>) -> Outcome {
    let undo = undo.map(|undo| Payload::json(undo.to_owned()));
    let output = Payload::json(output.to_owned());
    Ok(StepOutcome::Done(Done { output, undo, effects: Vec::new() }))
}

#[test]
fn outputs_and_undo_data_are_kept() {
    let mut run = Run::of(steps("a b"));
    run.ends(returns("\"did\"", Some("\"how\""))).ends(permanent());
    run.ends(returns("\"undid\"", None));
    let kept = run.entries.iter().filter_map(|entry| {
        let text = |payload: &Payload| String::from_utf8_lossy(&payload.data).into_owned();
        Some((
            entry.direction.as_str(),
            text(entry.output.as_ref()?),
            entry.undo.as_ref().map(text),
        ))
    });
    let expected = [
        ("forward", "\"did\"".to_owned(), Some("\"how\"".to_owned())),
        ("undo", "\"undid\"".to_owned(), None),
    ];
    assert_eq!(kept.collect::<Vec<_>>(), expected);
}
