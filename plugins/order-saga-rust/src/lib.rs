//! The order saga: reserve the items, calculate the tax, take the money, ship, and say that it is done; or undo what was
//! done.
//!
//! Three steps are commands to services on Kafka ([`exchange`]); the tax is another plugin's step; the last one publishes the
//! order's end. What
//! has happened to the order is kept in the event store ([`state`]).

mod definition;
mod exchange;
mod order;
mod state;

use order_kit::{
    body::{Amount, Items, OrderCompleted, Paid, Reserved, Shipped, Taxed},
    channel::{INVENTORY, ORDER_EVENTS, PAYMENT, SHIPPING, header},
};
use wasaga_guest::{context, manifest::Manifest, prelude::*};

use crate::{
    exchange::{Exchange, in_doubt},
    order::Order,
};

struct OrderSaga;

const RESERVE_INVENTORY: &str = "reserve_inventory";
const CALCULATE_TAX: &str = "calculate_tax";
const PROCESS_PAYMENT: &str = "process_payment";
const CREATE_SHIPMENT: &str = "create_shipment";
const COMPLETE_ORDER: &str = "complete_order";

impl Plugin for OrderSaga {
    fn manifest() -> Manifest {
        definition::manifest()
    }
}

impl Steps for OrderSaga {
    fn guard(task: &StepTask) -> Result<Verdict, Failure> {
        let needed = match task.step() {
            PROCESS_PAYMENT => RESERVE_INVENTORY,
            CREATE_SHIPMENT => PROCESS_PAYMENT,
            _ => return Ok(Verdict::Proceed),
        };
        Ok(match context::output(needed) {
            Some(_) => Verdict::Proceed,
            None => Verdict::refuse("out-of-turn", format!("{} needs {needed}", task.step())),
        })
    }

    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        let order = Order::of(task)?;
        match task.step() {
            RESERVE_INVENTORY => {
                state::create(&order)?;
                let items = order.items();
                exchange(task)?.act(&order.act(Items { items })).into()
            }
            CREATE_SHIPMENT => {
                let items = order.items();
                exchange(task)?.act(&order.act(Items { items })).into()
            }
            PROCESS_PAYMENT => {
                let Taxed { tax_cents } = context::require_output(CALCULATE_TAX)?;
                let amount_cents = order.amount_cents();
                exchange(task)?.act(&order.act(Amount { amount_cents, tax_cents })).into()
            }
            COMPLETE_ORDER => complete(task, &order),
            _ => Err(task.unknown_step()),
        }
    }

    fn resume(
        task: &StepTask,
        _: Option<Payload>,
        _: Option<Payload>,
        arrival: Arrival,
    ) -> Result<Outcome, Failure> {
        let outcome = exchange(task)?.settle(&arrival)?;
        if let Outcome::Done(done) = &outcome {
            state::settle(task, &done.output).map_err(in_doubt)?;
        }
        Ok(outcome)
    }

    fn compensate(task: &StepTask, undo: Option<Payload>) -> Result<Outcome, Failure> {
        exchange(task)?.undo(undo)
    }
}

/// The conversation that this step is.
fn exchange(task: &StepTask) -> Result<Exchange<'_>, Failure> {
    let channel = match task.step() {
        RESERVE_INVENTORY => &INVENTORY,
        PROCESS_PAYMENT => &PAYMENT,
        CREATE_SHIPMENT => &SHIPPING,
        _ => return Err(task.unknown_step()),
    };
    Ok(Exchange { task, channel })
}

fn complete(task: &StepTask, order: &Order) -> Result<Outcome, Failure> {
    let Reserved { reservation_id, .. } = context::require_output(RESERVE_INVENTORY)?;
    let Taxed { tax_cents } = context::require_output(CALCULATE_TAX)?;
    let Paid { payment_id, amount_cents, .. } = context::require_output(PROCESS_PAYMENT)?;
    let Shipped { shipment_id, .. } = context::require_output(CREATE_SHIPMENT)?;
    let completed = OrderCompleted {
        order_id: order.id.clone(),
        customer_id: order.customer_id(),
        items: order.items(),
        amount_cents,
        tax_cents,
        reservation_id,
        payment_id,
        shipment_id,
    };
    state::complete(order)?;
    let event = Message::new(ORDER_EVENTS)
        .key(order.id.as_str())
        .header(header::MESSAGE_TYPE, "OrderCompletedEvent")
        .header(header::IDEMPOTENCY_KEY, task.idempotency_key())
        .header(header::ORDER_ID, order.id.as_str())
        .json(&completed);
    done_json(&completed).send(event).into()
}

wasaga_guest::saga_plugin!(OrderSaga);
