//! A saga of two steps. Nobody is greeted who is called `nobody`: then the first step is undone.

mod payloads;

use std::time::Duration;

use payloads::{GREETING_SCHEMA, Greeting, GreetingStyle};
use serde_json::json;
use wasaga_guest::{
    ambient,
    manifest::{Manifest, Retry, Saga, Step, Trigger, Undo},
    prelude::*,
};

struct Greeter;

impl Plugin for Greeter {
    fn manifest() -> Manifest {
        let retry = || {
            let (first, longest) = (Duration::from_millis(200), Duration::from_secs(10));
            Retry::exponential(first, 2.0, longest).attempts(5)
        };
        let step = |name: &str| Step::new(name).timeout(Duration::from_secs(30)).retry(retry());
        let saga = Saga::new("{{name}}", 1)
            .step(step("write").undo(Undo::new().retry(retry())))
            .step(step("say"))
            .trigger(Trigger::http("/api/v1/greetings/{{name}}", "greeting_id"))
            .input_schema_text(GREETING_SCHEMA);
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION")).saga(saga)
    }
}

#[wasaga_guest::steps]
impl Greeter {
    #[step]
    fn write(#[input] greeting: Greeting) -> Result<Done, Failure> {
        let name = &greeting.name;
        let card = match greeting.style {
            Some(GreetingStyle::Formal) => format!("Good day, {name}."),
            _ => format!("Hello, {name}!"),
        };
        Ok(done_json(&json!({ "card": card })).undo_json(&greeting))
    }

    #[compensate("write")]
    fn tear_up(#[undo] written: Option<Greeting>) -> Result<(), Failure> {
        let name = written.map_or_else(|| "somebody".to_owned(), |written| written.name);
        wasaga_guest::info!("the card for {name} is torn up");
        Ok(())
    }

    #[step]
    fn say(#[input] Greeting { name, .. }: Greeting) -> Result<Done, Failure> {
        if name == "nobody" {
            return Err(Failure::permanent("nobody-there", "there is nobody to greet"));
        }
        // Time and chance are the host's. An output has neither: the step returns the same when it runs again.
        let random = ambient::random_bytes(4);
        let number = random.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
        wasaga_guest::info!("{name} is greeted at {}, number {number:08x}", ambient::now_ms());
        Ok(done_json(&json!({ "said_to": name })))
    }
}

wasaga_guest::saga_plugin!(Greeter);
