//! The definition `trip` and its policies.

use std::time::Duration;

use serde_json::json;
use trip_kit::{COMMANDS, CORRELATION_ID, REPLIES};
use wasaga_guest::manifest::{Capabilities, Locator, Manifest, Retry, Saga, Step, Trigger, Undo};

pub fn manifest() -> Manifest {
    Manifest::new("trip", env!("CARGO_PKG_VERSION"))
        .saga(saga())
        .awaits(REPLIES, Locator::header(CORRELATION_ID))
        .capabilities(Capabilities::new().topic(COMMANDS))
}

fn saga() -> Saga {
    let retry = Retry::fixed(Duration::from_millis(200)).attempts(3);
    let undo = Undo::new().retry(retry.clone());
    let booking = |name| Step::new(name).after(["quote"]).timeout(Duration::from_mins(1));
    let text = json!({"type": "string", "minLength": 1, "maxLength": 100});
    Saga::new("trip", 1)
        .step(Step::new("quote"))
        .step(booking("flight").undo(undo.clone()))
        .step(booking("hotel").undo(undo.clone()))
        // A car that can't be given back does not keep the others from being cancelled.
        .step(booking("car").undo(undo.go_on()))
        .step(Step::new("pay").after(["flight", "hotel", "car"]).pivot())
        .step(Step::new("ticket").retry(retry))
        .deadline(Duration::from_secs(15))
        .trigger(Trigger::http("/api/v1/trips", "trip_id").message("Trip is being booked"))
        .input_schema(json!({
            "type": "object",
            "required": ["traveller", "card", "flight", "hotel", "car"],
            "additionalProperties": false,
            "properties": {
                "trip_id": text,
                "traveller": text,
                "card": text,
                "flight": text,
                "hotel": text,
                "car": text,
            },
        }))
}
