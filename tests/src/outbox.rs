//! Records that a test produces by hand: through the outbox, whose relay publishes what it finds there.

use serde_json::{Value, json};

use crate::World;

/// A record to produce.
#[derive(Clone, Debug)]
pub struct Record {
    topic: String,
    key: String,
    headers: Vec<(String, String)>,
    value: Vec<u8>,
}

impl Record {
    /// A record with this JSON value.
    pub fn new(topic: &str, key: &str, value: &Value) -> Self {
        Self::bytes(topic, key, value.to_string().into_bytes())
    }

    /// A record with this value, whatever it is.
    pub fn bytes(topic: &str, key: &str, value: Vec<u8>) -> Self {
        Self { topic: topic.into(), key: key.into(), headers: Vec::new(), value }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with a value that need not be JSON.
    #[must_use]
    pub fn text(mut self, value: &str) -> Self {
        self.value = value.as_bytes().to_vec();
        self
    }

    /// A command to one of the order's services.
    pub fn command(topic: &str, kind: &str, order: &str, key: &str, value: &Value) -> Self {
        let replies = topic.replace("commands", "replies");
        Self::new(topic, order, value)
            .header("message-type", kind)
            .header("idempotency-key", key)
            .header("correlation-id", key)
            .header("order-id", order)
            .header("reply-topic", &replies)
    }
}

impl World {
    /// Produces records, in this order.
    pub async fn produce(&self, records: &[Record]) {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let row = |record: &Record| {
            let Record { topic, key, headers, value } = record;
            format!(
                "({}, convert_to({}, 'UTF8'), {}::jsonb, decode('{}', 'hex'))",
                quoted(topic),
                quoted(key),
                quoted(&json!(headers).to_string()),
                hex::encode(value)
            )
        };
        let rows: Vec<_> = records.iter().map(row).collect();
        let sql = "insert into wasaga.task_out (topic, key, headers, value) values ";
        self.run(&format!("{sql}{}", rows.join(", "))).await;
    }

    /// Produces what was published to this topic about this key once more.
    pub async fn produce_again(&self, topic: &str, key: &str) {
        self.run(&format!(
            "insert into wasaga.task_out (topic, key, headers, value)
             select topic, key, headers, value from wasaga.task_out
             where topic = '{topic}' and key = convert_to('{key}', 'UTF8') order by id"
        ))
        .await;
    }
}
