//! Topics, the types of messages on them, and the headers that messages carry.

use wasaga_guest::{failure::Failure, message::Message};

/// Where what has become of orders is published.
pub const ORDER_EVENTS: &str = "orders.events";

/// The conversation with one service: a command that acts and the one that undoes it, and their replies.
#[derive(Debug, PartialEq, Eq)]
pub struct Channel {
    /// The topic of both commands.
    pub commands: &'static str,
    /// The topic of all replies.
    pub replies: &'static str,
    /// The command that acts.
    pub act: &'static str,
    /// It acted.
    pub acted: &'static str,
    /// It refused, did nothing and never will.
    pub refused: &'static str,
    /// The command that undoes `act`.
    pub undo: &'static str,
    /// Nothing of `act` is left.
    pub undone: &'static str,
    /// Not now: the same command may succeed later.
    pub undo_refused: Option<&'static str>,
    /// Customers whose names start so get no reply to `act`.
    pub silent: &'static str,
}

/// Reserves products.
pub const INVENTORY: Channel = Channel {
    commands: "inventory.commands",
    replies: "inventory.replies",
    act: "ReserveInventory",
    acted: "InventoryReserved",
    refused: "InventoryRejected",
    undo: "ReleaseInventory",
    undone: "InventoryReleased",
    undo_refused: None,
    silent: "silent-inventory",
};

/// Takes the money.
pub const PAYMENT: Channel = Channel {
    commands: "payment.commands",
    replies: "payment.replies",
    act: "ProcessPayment",
    acted: "PaymentProcessed",
    refused: "PaymentFailed",
    undo: "RefundPayment",
    undone: "PaymentRefunded",
    undo_refused: Some("RefundFailed"),
    silent: "silent-payment",
};

/// Sends the parcel.
pub const SHIPPING: Channel = Channel {
    commands: "shipping.commands",
    replies: "shipping.replies",
    act: "CreateShipment",
    acted: "ShipmentCreated",
    refused: "ShipmentFailed",
    undo: "CancelShipment",
    undone: "ShipmentCancelled",
    undo_refused: None,
    silent: "silent-shipping",
};

/// The headers' names.
pub mod header {
    /// What the message is, as `ReserveInventory`.
    pub const MESSAGE_TYPE: &str = "message-type";
    /// The same for every attempt of one command: the service acts on it once.
    pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
    /// What the reply answers: the command's idempotency key.
    pub const CORRELATION_ID: &str = "correlation-id";
    /// The order; the key of the record as well, so that an order's messages keep their order.
    pub const ORDER_ID: &str = "order-id";
    /// Where the reply goes.
    pub const REPLY_TOPIC: &str = "reply-topic";
    /// On commands that undo: the idempotency key of the command that acted.
    pub const FORWARD_KEY: &str = "forward-key";
}

/// A command's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What to do.
    pub kind: &'a str,
    /// The same for every attempt.
    pub idempotency_key: &'a str,
    /// What the reply is found by.
    pub correlation_id: &'a str,
    /// For which order.
    pub order_id: &'a str,
    /// Where the reply goes.
    pub reply_topic: &'a str,
    /// Of the command to undo, when this one undoes.
    pub forward_key: Option<&'a str>,
}

impl<'a> Command<'a> {
    /// Reads the headers; a permanent failure names the one that is missing.
    pub fn of(message: &'a Message) -> Result<Self, Failure> {
        Ok(Self {
            kind: message.require_header(header::MESSAGE_TYPE)?,
            idempotency_key: message.require_header(header::IDEMPOTENCY_KEY)?,
            correlation_id: message.require_header(header::CORRELATION_ID)?,
            order_id: message.require_header(header::ORDER_ID)?,
            reply_topic: message.require_header(header::REPLY_TOPIC)?,
            forward_key: message.header_text(header::FORWARD_KEY),
        })
    }

    /// A record for this topic with these headers, still without a value.
    pub fn message(&self, topic: &str) -> Message {
        let message = Message::new(topic)
            .key(self.order_id)
            .header(header::MESSAGE_TYPE, self.kind)
            .header(header::IDEMPOTENCY_KEY, self.idempotency_key)
            .header(header::CORRELATION_ID, self.correlation_id)
            .header(header::ORDER_ID, self.order_id)
            .header(header::REPLY_TOPIC, self.reply_topic);
        match self.forward_key {
            Some(key) => message.header(header::FORWARD_KEY, key),
            None => message,
        }
    }

    /// The reply to it, still without a value.
    pub fn reply(&self, kind: &str) -> Message {
        Message::new(self.reply_topic)
            .key(self.order_id)
            .header(header::MESSAGE_TYPE, kind)
            .header(header::CORRELATION_ID, self.correlation_id)
            .header(header::ORDER_ID, self.order_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_went() {
        let command = Command {
            kind: "RefundPayment",
            idempotency_key: "undo-1",
            correlation_id: "undo-1",
            order_id: "o-1",
            reply_topic: "payment.replies",
            forward_key: Some("do-1"),
        };
        let message = command.message("payment.commands");
        assert_eq!(message.key.as_deref(), Some(&b"o-1"[..]));
        assert_eq!(Command::of(&message), Ok(command));
    }

    #[test]
    fn a_missing_header_is_named() {
        let failure = Command::of(&Message::new("payment.commands")).expect_err("no headers");
        assert!(failure.detail().message.contains("\"message-type\""), "{failure:?}");
    }
}
