//! A first plugin: a saga of two steps, started by `POST /api/v1/greetings`. Nobody is greeted who is called
//! `nobody`: then the first step is undone.

use serde::{Deserialize, Serialize};
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

#[derive(Debug, Serialize)]
struct Said {
    said_to: String,
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

#[wasaga_guest::steps]
impl Greeting {
    #[step]
    fn write(#[input] Input { name }: Input) -> Result<Done, Failure> {
        Ok(done_json(&json!({ "card": format!("Hello, {name}!") })).undo_json(&name))
    }

    #[compensate("write")]
    fn tear_up(#[undo] name: Option<String>) -> Result<(), Failure> {
        wasaga_guest::info!("the card for {} is torn up", name.as_deref().unwrap_or("somebody"));
        Ok(())
    }

    #[step]
    fn say(#[input] Input { name }: Input) -> Result<Json<Said>, Failure> {
        if name == "nobody" {
            return Err(Failure::permanent("nobody-there", "there is nobody to greet"));
        }
        Ok(Json(Said { said_to: name }))
    }
}

wasaga_guest::saga_plugin!(Greeting);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_not_greeted() {
        let said = |name: &str| Greeting::say(Input { name: name.into() });
        let Json(ada) = said("Ada").expect("she is greeted");
        assert_eq!(ada.said_to, "Ada");
        let nobody = said("nobody").expect_err("there is nobody");
        assert_eq!(nobody.detail().code, "nobody-there");
    }
}
