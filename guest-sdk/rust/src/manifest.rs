//! What a plugin says of itself: builders for the JSON of `wit/manifest.schema.json`. What is not set is left out.
//!
//! To add a field: to its type here, with a builder method, where the host's own type has it.

mod capabilities;
mod policy;
mod saga;
mod schedule;
mod trigger;

use std::time::Duration;

use serde::Serialize;

pub use capabilities::Capabilities;
pub use policy::{Compensation, OnUndoFailure, Retry, Undo};
pub use saga::{Saga, Step};
pub use schedule::{Misfire, Schedule};
pub use trigger::{HttpTrigger, Trigger};

/// A plugin's description of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sagas: Vec<Saga>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions: Vec<Subscription>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    out_topics: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dead_in_topics: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dead_out_topics: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    migrations: Vec<Migration>,
    #[serde(skip_serializing_if = "Capabilities::is_none")]
    capabilities: Capabilities,
}

impl Manifest {
    /// `name`: a to z, 0 to 9 and `-`, at most 40 characters; `version`: semantic, as `env!("CARGO_PKG_VERSION")`.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            sagas: Vec::new(),
            steps: Vec::new(),
            subscriptions: Vec::new(),
            out_topics: Vec::new(),
            dead_in_topics: Vec::new(),
            dead_out_topics: Vec::new(),
            migrations: Vec::new(),
            capabilities: Capabilities::default(),
        }
    }

    /// Defines a saga. Its steps without another worker are this plugin's to run.
    pub fn saga(mut self, saga: Saga) -> Self {
        for step in saga.own_steps() {
            self = self.step(step);
        }
        self.sagas.push(saga);
        self
    }

    /// This plugin runs steps of this name, whoever defines the saga.
    pub fn step(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.steps.contains(&name) {
            self.steps.push(name);
        }
        self
    }

    /// Messages of this topic go to `handle_in`.
    pub fn handles(mut self, topic: impl Into<String>) -> Self {
        self.subscriptions.push(Subscription { topic: topic.into(), correlation: None });
        self
    }

    /// Messages of this topic answer waiting steps; the locator finds the correlation key in them.
    pub fn awaits(mut self, topic: impl Into<String>, correlation: Locator) -> Self {
        let correlation = Some(correlation);
        self.subscriptions.push(Subscription { topic: topic.into(), correlation });
        self
    }

    /// Messages on their way to this topic go through `handle_out`, of whichever saga or application.
    pub fn out_topic(mut self, topic: impl Into<String>) -> Self {
        self.out_topics.push(topic.into());
        self
    }

    /// Records of this topic that were given up go to `handle_dead_in`.
    pub fn dead_in_topic(mut self, topic: impl Into<String>) -> Self {
        self.dead_in_topics.push(topic.into());
        self
    }

    /// Messages to this topic that were given up go to `handle_dead_out`.
    pub fn dead_out_topic(mut self, topic: impl Into<String>) -> Self {
        self.dead_out_topics.push(topic.into());
        self
    }

    /// SQL that makes or changes the plugin's tables in its own schema: versions 1, 2, … in the order of the calls.
    pub fn migration(mut self, name: impl Into<String>, up: impl Into<String>) -> Self {
        let version = u32::try_from(self.migrations.len() + 1).expect("few migrations");
        self.migrations.push(Migration { version, name: name.into(), up: up.into() });
        self
    }

    /// What the plugin asks for.
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The manifest as the host reads it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a manifest is JSON")
    }
}

/// A topic that the plugin hears.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subscription {
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<Locator>,
}

/// Where in a record something is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Locator {
    /// Its key.
    Key,
    /// A header of this name.
    Header(String),
    /// A place in its JSON value, RFC 6901.
    JsonPointer(String),
}

impl Locator {
    /// A header of this name.
    pub fn header(name: impl Into<String>) -> Self {
        Self::Header(name.into())
    }

    /// A place in the JSON value, as `/order/id`.
    pub fn json_pointer(pointer: impl Into<String>) -> Self {
        Self::JsonPointer(pointer.into())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Migration {
    version: u32,
    name: String,
    up: String,
}

/// Whole milliseconds; what does not fit is as good as for ever.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(manifest: &Manifest) -> Value {
        serde_json::from_str(&manifest.to_json()).expect("JSON")
    }

    #[test]
    fn what_is_not_set_is_left_out() {
        assert_eq!(value(&Manifest::new("a", "1.0.0")), json!({"name": "a", "version": "1.0.0"}));
    }

    #[test]
    fn a_saga_in_full() {
        let second = Duration::from_secs(1);
        let first = Step::new("first")
            .guarded()
            .timeout(second)
            .retry(
                Retry::exponential(Duration::from_millis(10), 2.0, second).attempts(3).jitter(0.5),
            )
            .undo(Undo::new().timeout(second).retry(Retry::never()).go_on());
        let saga = Saga::new("s", 2)
            .step(first)
            .step(Step::new("second").worker("other").retry(Retry::fixed(second)))
            .trigger(Trigger::http("/s", "id").message("begun"))
            .trigger(Trigger::schedule("0 3 * * *"))
            .input_schema(json!({"type": "object"}));
        let manifest = Manifest::new("a", "1.0.0")
            .saga(saga)
            .awaits("replies", Locator::header("correlation-id"))
            .awaits("keyed", Locator::Key)
            .handles("commands")
            .migration("tables", "create table t ()")
            .capabilities(Capabilities::new().sql().topic("t.*"));
        assert_eq!(
            value(&manifest),
            json!({
                "name": "a",
                "version": "1.0.0",
                "sagas": [{
                    "name": "s",
                    "version": 2,
                    "steps": [
                        {
                            "name": "first",
                            "guarded": true,
                            "timeout_ms": 1000,
                            "retry": {"exponential": {
                                "initial_ms": 10, "multiplier": 2.0, "max_delay_ms": 1000, "max_attempts": 3, "jitter": 0.5
                            }},
                            "compensation": {"undo": {
                                "retry": {"never": {}}, "timeout_ms": 1000, "on_failure": "go_on"
                            }}
                        },
                        {
                            "name": "second",
                            "worker": "other",
                            "guarded": false,
                            "timeout_ms": 30000,
                            "retry": {"fixed": {"delay_ms": 1000}},
                            "compensation": "none"
                        }
                    ],
                    "triggers": [
                        {"http": {"path": "/s", "key_name": "id", "message": "begun"}},
                        {"schedule": {"cron": "0 3 * * *"}}
                    ],
                    "input_schema": {"type": "object"}
                }],
                "steps": ["first"],
                "subscriptions": [
                    {"topic": "replies", "correlation": {"header": "correlation-id"}},
                    {"topic": "keyed", "correlation": "key"},
                    {"topic": "commands"}
                ],
                "migrations": [{"version": 1, "name": "tables", "up": "create table t ()"}],
                "capabilities": {"sql": true, "topics": ["t.*"]}
            })
        );
    }
}
