//! A first plugin: a saga of two steps, started by `POST /api/v1/greetings`. Nobody is greeted who is called
//! `nobody`: then the first step is undone.

use serde::Deserialize;
use serde_json::json;
use wasaga_guest::{
    manifest::{Manifest, Saga, Step, Trigger, Undo},
    prelude::*,
};

struct Greeting;

#[derive(Deserialize)]
struct Input {
    name: String,
}

impl Plugin for Greeting {
    fn manifest() -> Manifest {
        let saga = Saga::new("greeting", 1)
            .step(Step::new("write").undo(Undo::new()))
            .step(Step::new("say"))
            .trigger(Trigger::http("/api/v1/greetings", "greeting_id"));
        Manifest::new("greeting", env!("CARGO_PKG_VERSION")).saga(saga)
    }
}

impl Steps for Greeting {
    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        let Input { name } = task.input_json()?;
        match task.step() {
            "write" => {
                done_json(&json!({ "card": format!("Hello, {name}!") })).undo_json(&name).into()
            }
            "say" if name == "nobody" => {
                Err(Failure::permanent("nobody-there", "there is nobody to greet"))
            }
            "say" => done_json(&json!({ "said_to": name })).into(),
            _ => Err(task.unknown_step()),
        }
    }

    fn compensate(_: &StepTask, undo: Option<Payload>) -> Result<Outcome, Failure> {
        let name: Option<String> = undo.map(|undo| undo.parse()).transpose()?;
        wasaga_guest::info!("the card for {} is torn up", name.as_deref().unwrap_or("somebody"));
        done_empty().into()
    }
}

wasaga_guest::saga_plugin!(Greeting);
