//! The inventory service: reserves products for an order, and releases them again.
//!
//! It refuses the product `out-of-stock`, products it does not know, and more than it has.

mod books;

use std::collections::BTreeMap;

use order_kit::{
    body::{Act, Items, Refusal, Reserved},
    channel::{Channel, INVENTORY},
    service::{self, Service},
};
use wasaga_guest::{manifest::Manifest, prelude::*, sql};

struct Inventory;

impl Plugin for Inventory {
    fn manifest() -> Manifest {
        service::manifest::<Self>("inventory", env!("CARGO_PKG_VERSION"), books::TABLES)
    }
}

impl Tasks for Inventory {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        service::handle::<Self>(task)
    }
}

impl Service for Inventory {
    const CHANNEL: Channel = INVENTORY;
    type What = Items;
    type Acted = Reserved;

    fn act(key: &str, command: &Act<Items>) -> Result<Result<Reserved, Refusal>, sql::Error> {
        let mut wanted = BTreeMap::new();
        for item in &command.what.items {
            *wanted.entry(item.product_id.as_str()).or_insert(0_i64) += item.quantity;
        }
        let available = books::stock_lock(&wanted)?;
        for (product, quantity) in &wanted {
            let left = available.get(*product).copied().unwrap_or(0);
            if *product == "out-of-stock" || left < *quantity {
                let reason = format!("{quantity} of {product:?} wanted, {left} available");
                return Ok(Err(Refusal::new("out-of-stock", reason)));
            }
        }
        let order_id = command.order_id.clone();
        let reservation_id = books::reservation_insert(key, &order_id, &wanted)?;
        Ok(Ok(Reserved { order_id, reservation_id }))
    }

    fn undo(key: &str) -> Result<Result<bool, Refusal>, sql::Error> {
        Ok(Ok(books::reservation_release(key)?))
    }
}

wasaga_guest::task_plugin!(Inventory);
