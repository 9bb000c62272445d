//! The shipping service: creates an order's shipment, and cancels it.
//!
//! It ships nothing to customers whose names start with `unshippable` or `stuck-refund`: the latter's orders fail
//! after the payment, so that their refund can be seen to be stuck.

mod books;

use order_kit::{
    body::{Act, Items, Refusal, Shipped},
    channel::{Channel, SHIPPING},
    service::{self, Service},
};
use wasaga_guest::{manifest::Manifest, prelude::*, sql};

struct Shipping;

impl Plugin for Shipping {
    fn manifest() -> Manifest {
        service::manifest::<Self>("shipping", env!("CARGO_PKG_VERSION"), books::TABLES)
    }
}

impl Tasks for Shipping {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        service::handle::<Self>(task)
    }
}

impl Service for Shipping {
    const CHANNEL: Channel = SHIPPING;
    type What = Items;
    type Acted = Shipped;

    fn act(key: &str, command: &Act<Items>) -> Result<Result<Shipped, Refusal>, sql::Error> {
        let Act { order_id, customer_id, what: Items { items } } = command;
        if ["unshippable", "stuck-refund"].iter().any(|start| customer_id.starts_with(start)) {
            let reason = format!("no carrier goes to {customer_id:?}");
            return Ok(Err(Refusal::new("unshippable", reason)));
        }
        let shipment_id = books::shipment_insert(key, order_id, customer_id, items)?;
        Ok(Ok(Shipped { order_id: order_id.clone(), shipment_id }))
    }

    fn undo(key: &str) -> Result<Result<bool, Refusal>, sql::Error> {
        Ok(Ok(books::shipment_cancel(key)?))
    }
}

wasaga_guest::task_plugin!(Shipping);
