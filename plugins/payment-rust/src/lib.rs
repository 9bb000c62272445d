//! The payment service: takes an order's money, and refunds it.
//!
//! It declines customers whose names start with `declined`. Those that start with `stuck-refund` get their money back
//! only once the table `switches` has the row `allow-refunds`.

mod books;

use order_kit::{
    body::{Act, Amount, Paid, Refusal},
    channel::{Channel, PAYMENT},
    service::{self, Service},
};
use wasaga_guest::{manifest::Manifest, prelude::*, sql};

struct Payment;

impl Plugin for Payment {
    fn manifest() -> Manifest {
        service::manifest::<Self>("payment", env!("CARGO_PKG_VERSION"), books::TABLES)
    }
}

impl Tasks for Payment {
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        service::handle::<Self>(task)
    }
}

impl Service for Payment {
    const CHANNEL: Channel = PAYMENT;
    type What = Amount;
    type Acted = Paid;

    fn act(key: &str, command: &Act<Amount>) -> Result<Result<Paid, Refusal>, sql::Error> {
        let Act { order_id, customer_id, what: Amount { amount_cents } } = command;
        if customer_id.starts_with("declined") {
            let reason = format!("the bank of {customer_id:?} declined {amount_cents} cents");
            return Ok(Err(Refusal::new("payment-declined", reason)));
        }
        let payment_id = books::payment_insert(key, order_id, customer_id, *amount_cents)?;
        Ok(Ok(Paid { order_id: order_id.clone(), payment_id, amount_cents: *amount_cents }))
    }

    fn undo(key: &str) -> Result<Result<bool, Refusal>, sql::Error> {
        let customer = books::payment_customer(key)?;
        let stuck = customer.is_some_and(|customer| customer.starts_with("stuck-refund"));
        if stuck && !books::switch_is_on("allow-refunds")? {
            return Ok(Err(Refusal::new("refund-blocked", "the bank accepts no refunds now")));
        }
        Ok(Ok(books::payment_refund(key)?))
    }
}

wasaga_guest::task_plugin!(Payment);
