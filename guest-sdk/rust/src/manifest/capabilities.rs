//! What a plugin asks for.

use serde::Serialize;

/// What a plugin asks for; what it gets is the operator's grant.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Capabilities {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sql: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    event_store: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_hosts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    topics: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    config_keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
}

impl Capabilities {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// SQL in its own schema, in the transaction that commits the step or task.
    pub fn sql(mut self) -> Self {
        self.sql = true;
        self
    }

    /// Event-sourced aggregates, in the transaction that commits the step or task.
    pub fn event_store(mut self) -> Self {
        self.event_store = true;
        self
    }

    /// A host it calls; `*.example.com` covers subdomains, and `:PORT` behind it says which port where it is not the scheme's.
    pub fn http_host(mut self, host: impl Into<String>) -> Self {
        self.http_hosts.push(host.into());
        self
    }

    /// A topic it sends to; `orders.*` covers a prefix.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// A key of the configuration that it reads.
    pub fn config_key(mut self, key: impl Into<String>) -> Self {
        self.config_keys.push(key.into());
        self
    }

    /// A secret that it reads, as a key of the configuration.
    pub fn secret(mut self, key: impl Into<String>) -> Self {
        self.secrets.push(key.into());
        self
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
