//! The saga's input: an order as the customer sent it.

use order_kit::body::{Act, Item};
use serde::Deserialize;
use wasaga_guest::{failure::Failure, step::StepTask};

/// An order and its id.
#[derive(Debug)]
pub struct Order {
    /// The saga's business key: the customer's `order_id`, or the one that the host made.
    pub id: String,
    input: Input,
}

#[derive(Debug, Deserialize)]
struct Input {
    customer_id: String,
    items: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    product_id: String,
    // A JSON integer may be written 2.0. The schema's bounds keep it, and the sums below, exact.
    quantity: f64,
    price: f64,
}

impl Order {
    /// The order that this saga is about.
    pub fn of(task: &StepTask) -> Result<Self, Failure> {
        Ok(Self { id: task.business_key().to_owned(), input: task.input_json()? })
    }

    /// A command for this order.
    pub fn act<T>(&self, what: T) -> Act<T> {
        Act { order_id: self.id.clone(), customer_id: self.customer_id(), what }
    }

    pub fn customer_id(&self) -> String {
        self.input.customer_id.clone()
    }

    pub fn items(&self) -> Vec<Item> {
        let item = |line: &Line| Item {
            product_id: line.product_id.clone(),
            quantity: line.quantity as i64,
        };
        self.input.items.iter().map(item).collect()
    }

    /// The sum of quantity times price, each price rounded to whole cents.
    pub fn amount_cents(&self) -> i64 {
        let cents = |line: &Line| (line.price * 100.0).round() as i64 * line.quantity as i64;
        self.input.items.iter().map(cents).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_summed_in_whole_cents() {
        let input = r#"{"customer_id": "c", "items": [
            {"product_id": "product-1", "quantity": 3, "price": 0.1},
            {"product_id": "product-2", "quantity": 2.0, "price": 19.99}
        ]}"#;
        let order = Order { id: "o".into(), input: serde_json::from_str(input).expect("an order") };
        assert_eq!(order.amount_cents(), 30 + 3998);
        assert_eq!(order.items()[1], Item { product_id: "product-2".into(), quantity: 2 });
    }
}
