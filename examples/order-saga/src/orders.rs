//! Ten orders: five that go through, and five that fail at the inventory, the payment or the shipment.

use serde_json::{Value, json};
use uuid::Uuid;

/// An order, and the status in which its saga must end.
pub struct Order {
    /// What the timeline calls it.
    pub name: &'static str,
    /// The request.
    pub body: Value,
    /// The status.
    pub must_end: &'static str,
}

/// Customer, product, quantity, price, status. Customers and products choose which service refuses.
const TEN: [(&str, &str, &str, u32, f64, &str); 10] = [
    ("1 alice", "customer-alice", "product-1", 2, 100.0, "completed"),
    ("2 bob", "customer-bob", "product-2", 1, 19.99, "completed"),
    ("3 declined", "declined-carol", "product-1", 3, 100.0, "compensated"),
    ("4 dave", "customer-dave", "product-3", 5, 7.5, "completed"),
    ("5 unshippable", "unshippable-erin", "product-2", 2, 19.99, "compensated"),
    ("6 frank", "customer-frank", "product-4", 1, 250.0, "completed"),
    ("7 declined", "declined-grace", "product-5", 1, 1000.0, "compensated"),
    ("8 out of stock", "customer-heidi", "out-of-stock", 1, 1.0, "failed"),
    ("9 unshippable", "unshippable-ivan", "product-3", 4, 7.5, "compensated"),
    ("10 judy", "customer-judy", "product-5", 2, 1000.0, "completed"),
];

/// The ten, each with an id of its own.
pub fn ten() -> Vec<Order> {
    let order = |(name, customer, product, quantity, price, must_end)| Order {
        name,
        body: json!({
            "order_id": Uuid::now_v7(),
            "customer_id": customer,
            "items": [{ "product_id": product, "quantity": quantity, "price": price }],
        }),
        must_end,
    };
    TEN.into_iter().map(order).collect()
}
