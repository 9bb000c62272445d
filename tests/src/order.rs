//! Orders, as customers send them.

use serde_json::{Value, json};
use uuid::Uuid;

/// An order with an id of its own.
#[derive(Clone, Debug)]
pub struct Order {
    id: String,
    customer: String,
    items: Vec<Value>,
}

impl Order {
    /// An order of two products. The customer's name decides what becomes of it: see the plugins.
    pub fn of(customer: &str) -> Self {
        Self::new(customer).item("product-1", 2, 19.99).item("product-2", 1, 0.1)
    }

    fn new(customer: &str) -> Self {
        let id = format!("order-{}", Uuid::new_v4().simple());
        Self { id, customer: customer.into(), items: Vec::new() }
    }

    /// So many orders that shall be completed, but for each tenth, which is declined, and the one after it, which
    /// cannot be shipped. Each is of one product, so that they don't all wait for the same row of the stock.
    pub fn mixed(count: usize) -> Vec<Self> {
        let customer = |n| match n % 10 {
            3 => "declined",
            4 => "unshippable",
            _ => "customer",
        };
        let order = |n| Self::new(&format!("{}-{n}", customer(n)));
        (0..count).map(|n| order(n).item(&format!("product-{}", n % 5 + 1), 2, 19.99)).collect()
    }

    /// One more item.
    #[must_use]
    pub fn item(mut self, product: &str, quantity: u32, price: f64) -> Self {
        self.items.push(json!({"product_id": product, "quantity": quantity, "price": price}));
        self
    }

    /// Its id, which is the saga's business key and the key of all its messages.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The body to post.
    pub fn body(&self) -> Value {
        json!({"order_id": self.id, "customer_id": self.customer, "items": self.items})
    }
}
