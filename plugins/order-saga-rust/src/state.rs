//! The order as the event store keeps it: what its steps and their undoing came to, in a stream of its id.

use order_kit::body::{Item, Paid, Refusal, Reserved, Shipped, Undone};
use serde::{Deserialize, Serialize};
use wasaga_guest::{
    context,
    event_store::{Aggregate, Stream},
    prelude::*,
};

use crate::{CREATE_SHIPMENT, PROCESS_PAYMENT, RESERVE_INVENTORY, order::Order};

/// Where an order stands. Of what was undone there is no id any more.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct OrderState {
    status: Status,
    customer_id: String,
    items: Vec<Item>,
    amount_cents: i64,
    reservation_id: Option<String>,
    payment_id: Option<String>,
    shipment_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    #[default]
    New,
    Created,
    Completed,
    Cancelled,
}

/// What happens to an order; what the services did is told in their own words.
#[derive(Debug, Deserialize, Serialize)]
pub enum OrderEvent {
    OrderCreated { customer_id: String, items: Vec<Item>, amount_cents: i64 },
    InventoryReserved(Reserved),
    PaymentProcessed(Paid),
    ShipmentCreated(Shipped),
    OrderCompleted,
    ShipmentCancelled(Undone),
    PaymentRefunded(Undone),
    InventoryReleased(Undone),
    OrderCancelled(Refusal),
}

impl Aggregate for OrderState {
    type Event = OrderEvent;

    fn apply(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::OrderCreated { customer_id, items, amount_cents } => {
                let status = Status::Created;
                *self = Self { status, customer_id, items, amount_cents, ..Self::default() };
            }
            OrderEvent::InventoryReserved(reserved) => {
                self.reservation_id = Some(reserved.reservation_id);
            }
            OrderEvent::PaymentProcessed(paid) => self.payment_id = Some(paid.payment_id),
            OrderEvent::ShipmentCreated(shipped) => self.shipment_id = Some(shipped.shipment_id),
            OrderEvent::OrderCompleted => self.status = Status::Completed,
            OrderEvent::ShipmentCancelled(_) => self.shipment_id = None,
            OrderEvent::PaymentRefunded(_) => self.payment_id = None,
            OrderEvent::InventoryReleased(_) => self.reservation_id = None,
            OrderEvent::OrderCancelled(_) => self.status = Status::Cancelled,
        }
    }
}

/// The order's first event. A later attempt finds it there.
pub fn create(order: &Order) -> Result<(), Failure> {
    let mut stream: Stream<OrderState> = Stream::load(&*order.id)?;
    if stream.state().status == Status::New {
        stream.record(OrderEvent::OrderCreated {
            customer_id: order.customer_id(),
            items: order.items(),
            amount_cents: order.amount_cents(),
        });
    }
    stream.save()
}

/// The order's last event, where all went well.
pub fn complete(order: &Order) -> Result<(), Failure> {
    record(&order.id, [OrderEvent::OrderCompleted])
}

/// What a service did, or undid, by its reply.
pub fn settle(task: &StepTask, reply: &Payload) -> Result<(), Failure> {
    let event = match (task.step(), task.attempt.direction) {
        (RESERVE_INVENTORY, Direction::Forward) => OrderEvent::InventoryReserved(reply.parse()?),
        (PROCESS_PAYMENT, Direction::Forward) => OrderEvent::PaymentProcessed(reply.parse()?),
        (CREATE_SHIPMENT, Direction::Forward) => OrderEvent::ShipmentCreated(reply.parse()?),
        (CREATE_SHIPMENT, Direction::Undo) => OrderEvent::ShipmentCancelled(reply.parse()?),
        (PROCESS_PAYMENT, Direction::Undo) => OrderEvent::PaymentRefunded(reply.parse()?),
        (RESERVE_INVENTORY, Direction::Undo) => {
            // The first step is undone last.
            let released = OrderEvent::InventoryReleased(reply.parse()?);
            return record(task.business_key(), [released, cancelled()]);
        }
        _ => return Err(task.unknown_step()),
    };
    record(task.business_key(), [event])
}

fn cancelled() -> OrderEvent {
    let why = context::cause().map(|cause| Refusal::new(&cause.code, cause.message));
    OrderEvent::OrderCancelled(why.unwrap_or_else(|| Refusal::new("cancelled", "on request")))
}

fn record(id: &str, events: impl IntoIterator<Item = OrderEvent>) -> Result<(), Failure> {
    let mut stream: Stream<OrderState> = Stream::load(id)?;
    events.into_iter().for_each(|event| stream.record(event));
    stream.save()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_undone_is_not_held_any_more() {
        let id = || "o-1".to_owned();
        let paid = Paid { order_id: id(), payment_id: "p-1".into(), amount_cents: 7 };
        let undone = || Undone { order_id: id(), had_acted: true };
        let reserved = Reserved { order_id: id(), reservation_id: "r-1".into() };
        let mut order = OrderState::default();
        order.apply(OrderEvent::OrderCreated {
            customer_id: "c".into(),
            items: vec![],
            amount_cents: 7,
        });
        order.apply(OrderEvent::InventoryReserved(reserved));
        order.apply(OrderEvent::PaymentProcessed(paid));
        assert_eq!(order.payment_id.as_deref(), Some("p-1"));
        order.apply(OrderEvent::PaymentRefunded(undone()));
        order.apply(OrderEvent::InventoryReleased(undone()));
        order.apply(OrderEvent::OrderCancelled(Refusal::new("unshippable", "too heavy")));
        let expected = OrderState {
            status: Status::Cancelled,
            customer_id: "c".into(),
            amount_cents: 7,
            ..OrderState::default()
        };
        assert_eq!(order, expected);
    }
}
