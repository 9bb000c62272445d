//! What a plugin says of itself, as JSON: wit/manifest.schema.json is the same for people and editors.
//!
//! To add a field: here as an `Option` or with a default, in the schema, and in the SDKs' builders.

mod schedule;

use serde::{Deserialize, Serialize};

use crate::{flow::Flow, http::HostPattern, ids::PluginName, retry::RetryPolicy};

pub use schedule::{Misfire, ScheduleTrigger};

/// A plugin's description of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The plugin's name.
    pub name: PluginName,
    /// A semantic version, for people: the code's identity is its digest.
    pub version: String,
    /// Saga definitions.
    #[serde(default)]
    pub sagas: Vec<Saga>,
    /// Steps that its `steps` export runs.
    #[serde(default)]
    pub steps: Vec<String>,
    /// Topics it hears.
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
    /// Topics whose out tasks go through `handle-out`.
    #[serde(default)]
    pub out_topics: Vec<String>,
    /// Topics whose dead letters, given up on their way in, go to `handle-dead-in`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_in_topics: Vec<String>,
    /// Topics whose dead letters, given up on their way out, go to `handle-dead-out`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_out_topics: Vec<String>,
    /// Its tables, in its own schema.
    #[serde(default)]
    pub migrations: Vec<Migration>,
    /// What it asks for.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// A saga definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saga {
    /// The definition's name, unique among all plugins.
    pub name: String,
    /// From 1. A definition (name, version) never changes its content.
    pub version: u32,
    /// In order.
    pub steps: Vec<Step>,
    /// What starts it, besides the API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// Milliseconds from the start to its undoing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// JSON Schema of the input: a start that does not fit is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<serde_json::Value>,
    /// Where its life is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle_topic: Option<String>,
    /// Sagas keep the code they started with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pin_workers: bool,
}

/// One step of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique in the definition.
    pub name: String,
    /// The plugin that runs it; absent: the one that defines the saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<PluginName>,
    /// Predecessors; absent: the step before it in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// Ask `guard` first.
    #[serde(default)]
    pub guarded: bool,
    /// Milliseconds: the bound of an attempt, its wait included unless the wait names its own.
    pub timeout_ms: u64,
    /// Of forward attempts.
    pub retry: RetryPolicy,
    /// How it is undone.
    #[serde(default)]
    pub compensation: Compensation,
    /// Past it the saga only goes forward.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pivot: bool,
}

/// How a step is undone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Compensation {
    /// There is nothing to undo.
    #[default]
    None,
    /// By `compensate`.
    Undo(Undo),
}

/// The policies of an undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// Of undo attempts.
    pub retry: RetryPolicy,
    /// Milliseconds: the bound of an undo attempt.
    pub timeout_ms: u64,
    /// What follows when the attempts are exhausted.
    #[serde(default)]
    pub on_failure: OnUndoFailure,
}

/// What follows an undo that gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUndoFailure {
    /// The saga stops there and asks for an operator.
    #[default]
    NeedsAttention,
    /// The other undos go on; the saga asks for an operator at its end.
    GoOn,
}

/// What starts a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// A record of a topic.
    Topic {
        /// The topic's name.
        topic: String,
        /// Where the business key is.
        business_key: Locator,
    },
    /// Times.
    Schedule(ScheduleTrigger),
    /// A POST to a path.
    Http(HttpTrigger),
}

/// A route that starts sagas: its body is the input, and it answers 202.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTrigger {
    /// As `/api/v1/orders`.
    pub path: String,
    /// The field of the body with the business key, which the host makes where it is absent.
    pub key_name: String,
    /// The answer's `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A topic a plugin hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The topic's name.
    pub topic: String,
    /// With it, records answer waiting steps; without, they go to `handle-in`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Locator>,
}

/// Where in a record something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Locator {
    /// Its key.
    Key,
    /// A header of this name.
    Header(String),
    /// A place in its JSON value, RFC 6901.
    JsonPointer(String),
}

/// A step of the plugin's own schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: u32,
    /// For people.
    pub name: String,
    /// SQL statements.
    pub up: String,
}

/// What a plugin asks for; what it gets is the operator's grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// SQL in its own schema, in the transaction that commits the step or task.
    pub sql: bool,
    /// Event-sourced aggregates, in the transaction that commits the step or task.
    pub event_store: bool,
    /// Hosts it may call; `*.example.com` covers subdomains.
    pub http_hosts: Vec<HostPattern>,
    /// Topics it may send to; `orders.*` covers a prefix.
    pub topics: Vec<String>,
    /// Configuration it may read.
    pub config_keys: Vec<String>,
    /// Secrets it may read, as configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl Manifest {
    /// Topics of a flow in whose tasks it takes part; those it is called for without a saga waiting are subscriptions.
    pub fn handled_topics(&self, flow: Flow) -> &[String] {
        match flow {
            Flow::HandleOut => &self.out_topics,
            Flow::DeadIn => &self.dead_in_topics,
            Flow::DeadOut => &self.dead_out_topics,
            Flow::In | Flow::Out => &[],
        }
    }
}
