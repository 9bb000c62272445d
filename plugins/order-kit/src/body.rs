//! The JSON values of commands, replies and events.

use serde::{Deserialize, Serialize};

/// A command that acts: whose order, and what the service needs of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act<T> {
    /// The order.
    pub order_id: String,
    /// Who ordered.
    pub customer_id: String,
    /// What the service needs.
    #[serde(flatten)]
    pub what: T,
}

/// What to reserve, and what to ship.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Items {
    /// At least one.
    pub items: Vec<Item>,
}

/// So much of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The product.
    pub product_id: String,
    /// At least 1.
    pub quantity: i64,
}

/// What to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// In cents.
    pub amount_cents: i64,
    /// How much of it is tax.
    pub tax_cents: i64,
}

/// The output of the step that calculates the tax.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taxed {
    /// How much of the order's amount is tax.
    pub tax_cents: i64,
}

/// A command that undoes. What it undoes is named by the header `forward-key`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The order.
    pub order_id: String,
    /// What the forward reply said; null where the outcome is not known.
    pub acted: Option<serde_json::Value>,
}

/// `InventoryReserved`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The order.
    pub order_id: String,
    /// A UUID.
    pub reservation_id: String,
}

/// `PaymentProcessed`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// The order.
    pub order_id: String,
    /// A UUID.
    pub payment_id: String,
    /// In cents.
    pub amount_cents: i64,
}

/// `ShipmentCreated`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// The order.
    pub order_id: String,
    /// A UUID.
    pub shipment_id: String,
}

/// Any refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For the machine, as `out-of-stock`.
    pub code: String,
    /// For a person.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }
}

/// Any undo's reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The order.
    pub order_id: String,
    /// Whether there was something to undo.
    pub had_acted: bool,
}

/// `OrderCompletedEvent`, and the output of the saga's last step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderCompleted {
    /// The order.
    pub order_id: String,
    /// Who ordered.
    pub customer_id: String,
    /// What was shipped.
    pub items: Vec<Item>,
    /// What was paid, in cents.
    pub amount_cents: i64,
    /// How much of it is tax.
    pub tax_cents: i64,
    /// A UUID.
    pub reservation_id: String,
    /// A UUID.
    pub payment_id: String,
    /// A UUID.
    pub shipment_id: String,
}
