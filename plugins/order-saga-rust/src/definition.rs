//! The definition `order` and its policies.

use std::time::Duration;

use order_kit::channel::{INVENTORY, ORDER_EVENTS, PAYMENT, SHIPPING, header};
use serde_json::{Value, json};
use wasaga_guest::manifest::{Capabilities, Locator, Manifest, Retry, Saga, Step, Trigger, Undo};

use crate::{CALCULATE_TAX, COMPLETE_ORDER, CREATE_SHIPMENT, PROCESS_PAYMENT, RESERVE_INVENTORY};

const SECOND: Duration = Duration::from_secs(1);

pub fn manifest() -> Manifest {
    let mut manifest = Manifest::new("order-saga", env!("CARGO_PKG_VERSION")).saga(saga());
    let mut capabilities = Capabilities::new().event_store().topic(ORDER_EVENTS);
    for channel in [INVENTORY, PAYMENT, SHIPPING] {
        manifest = manifest.awaits(channel.replies, Locator::header(header::CORRELATION_ID));
        capabilities = capabilities.topic(channel.commands);
    }
    manifest.capabilities(capabilities)
}

fn saga() -> Saga {
    let reserve = Step::new(RESERVE_INVENTORY)
        .timeout(30 * SECOND)
        .retry(Retry::exponential(SECOND, 2.0, 10 * SECOND).jitter(0.2).attempts(3))
        .undo(Undo::new());
    let tax = Step::new(CALCULATE_TAX)
        .worker("tax")
        .timeout(30 * SECOND)
        .retry(Retry::fixed(SECOND).attempts(3));
    let pay = Step::new(PROCESS_PAYMENT)
        .guarded()
        .timeout(30 * SECOND)
        .retry(Retry::fixed(SECOND).attempts(2))
        .undo(Undo::new());
    let ship = Step::new(CREATE_SHIPMENT).guarded().timeout(30 * SECOND).undo(Undo::new());
    let complete = Step::new(COMPLETE_ORDER).timeout(30 * SECOND);
    Saga::new("order", 1)
        .step(reserve)
        .step(tax)
        .step(pay)
        .step(ship)
        .step(complete)
        .trigger(Trigger::http("/api/v1/orders", "order_id").message("Order creation started"))
        .input_schema(input_schema())
}

/// The upper bounds keep an order's amount in cents far within 64 bits.
fn input_schema() -> Value {
    let name = json!({"type": "string", "minLength": 1, "maxLength": 200});
    let line = json!({
        "type": "object",
        "required": ["product_id", "quantity", "price"],
        "additionalProperties": false,
        "properties": {
            "product_id": name,
            "quantity": {"type": "integer", "minimum": 1, "maximum": 10_000_000},
            "price": {"type": "number", "minimum": 0, "maximum": 1_000_000},
        },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An order",
        "type": "object",
        "required": ["customer_id", "items"],
        "additionalProperties": false,
        "properties": {
            "order_id": name,
            "customer_id": name,
            "items": {"type": "array", "minItems": 1, "maxItems": 100, "items": line},
        },
    })
}
