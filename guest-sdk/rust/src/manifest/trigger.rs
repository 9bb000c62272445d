//! What starts a saga, besides the API.

use serde::Serialize;

use super::{Locator, Schedule};

/// What starts a saga.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A record of a topic.
    Topic {
        /// The topic's name.
        topic: String,
        /// Where in the record the business key is.
        business_key: Locator,
    },
    /// Times.
    Schedule(Schedule),
    /// A POST to a path.
    Http(HttpTrigger),
}

impl Trigger {
    /// A record of this topic.
    pub fn topic(topic: impl Into<String>, business_key: Locator) -> Self {
        Self::Topic { topic: topic.into(), business_key }
    }

    /// A POST to this path. The field `key_name` of its body is the business key; the host makes one where there is
    /// no such field.
    pub fn http(path: impl Into<String>, key_name: impl Into<String>) -> HttpTrigger {
        HttpTrigger { path: path.into(), key_name: key_name.into(), message: None }
    }
}

/// A route that starts sagas: its body is the input, and it answers 202.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpTrigger {
    path: String,
    key_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl HttpTrigger {
    /// The answer's `message`.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

impl From<HttpTrigger> for Trigger {
    fn from(trigger: HttpTrigger) -> Self {
        Self::Http(trigger)
    }
}
