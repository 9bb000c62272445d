//! The intake: each record on `intake.forms` registers somebody. The plugin also hears of its sagas' lives, and counts
//! who is registered by the first letter of the name.

use serde::Deserialize;
use serde_json::json;
use wasaga_guest::{
    lifecycle::{Event, Happened},
    manifest::{Capabilities, Locator, Manifest, Saga, Step, Trigger},
    prelude::*,
    sql,
};

struct Intake;

const FORMS: &str = "intake.forms";
const WELCOMES: &str = "intake.welcomes";

const TABLE: &str = "
create table registered (
    letter text primary key,
    people bigint not null
);
";

/// The saga's input: a form.
#[derive(Deserialize)]
struct Form {
    name: String,
}

impl Plugin for Intake {
    fn manifest() -> Manifest {
        let saga = Saga::new("registration", 1)
            .step(Step::new("welcome"))
            .trigger(Trigger::topic(FORMS, Locator::json_pointer("/form/id")))
            .input_schema(json!({
                "type": "object",
                "required": ["form", "name"],
                "properties": {"name": {"type": "string", "maxLength": 100}},
            }));
        Manifest::new("intake", env!("CARGO_PKG_VERSION"))
            .saga(saga)
            .migration("registered", TABLE)
            .capabilities(Capabilities::new().sql().topic(WELCOMES))
    }
}

impl Steps for Intake {
    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        let Form { name } = task.input_json()?;
        let welcome = Message::new(WELCOMES).key(task.business_key()).json(&json!({"to": name}));
        done_json(&name).send(welcome).into()
    }
}

impl Lifecycle for Intake {
    fn on_event(happened: &Happened) -> Result<Vec<Effect>, Failure> {
        if let Event::Completed(output) = &happened.event {
            let name: String = output.parse()?;
            // A mistake: the schema lets a name be empty. The registrations are none the worse for it.
            let letter = name.chars().next().expect("a name has a first letter");
            sql::execute(
                "insert into registered (letter, people) values ($1, 1)
                 on conflict (letter) do update set people = registered.people + 1",
                &[&letter.to_uppercase().to_string()],
            )?;
        }
        Ok(Vec::new())
    }
}

wasaga_guest::observing_saga_plugin!(Intake);
