//! What the operator lets plugins do. A plugin asks in its manifest; it gets what is granted, and is refused where it
//! asks for more.

use std::collections::BTreeMap;

use serde::Deserialize;
use wasaga_domain::{
    ids::PluginName,
    manifest::{Capabilities, Manifest},
};

/// All grants of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Whatever a plugin asks for is granted: for a developer's machine.
    pub grant_all: bool,
    /// By the plugin's name.
    pub plugins: BTreeMap<PluginName, Grant>,
}

/// What one plugin is granted: `[plugins.NAME]` `grant` in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    /// SQL in its own schema.
    pub sql: bool,
    /// Event streams of its own.
    pub event_store: bool,
    /// Topics it may send to; `orders.*` covers a prefix.
    pub topics: Vec<String>,
    /// The configuration it may read.
    pub config: BTreeMap<String, String>,
}

/// What a loaded plugin may reach.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// Absent while it is being asked what it is.
    pub plugin: Option<PluginName>,
    /// SQL in its own schema.
    pub sql: bool,
    /// Event streams of its own.
    pub event_store: bool,
    topics: Vec<String>,
    config: BTreeMap<String, String>,
}

impl Access {
    /// Whether its calls may wait for the database.
    pub(crate) fn database(&self) -> bool {
        self.sql || self.event_store
    }

    /// What a plugin is told that uses what it has not asked for.
    pub(crate) fn denial(&self, what: &str, key: &str) -> String {
        let name = self.name();
        format!(
            "plugin {name} is not granted {what}: ask for it in the manifest (capabilities.{key}) and add \
             [plugins.{name}] grant.{key} = true"
        )
    }

    /// Whether it may send to this topic.
    pub(crate) fn may_send(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| covers(pattern, topic))
    }

    /// A value of its configuration.
    pub(crate) fn config(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    /// The plugin's name, for messages.
    pub(crate) fn name(&self) -> &str {
        self.plugin.as_ref().map_or("(being loaded)", PluginName::as_str)
    }
}

impl Grants {
    /// What the plugin asks for and is not granted, a sentence each.
    pub(crate) fn refusals(&self, manifest: &Manifest) -> Vec<String> {
        if self.grant_all {
            return Vec::new();
        }
        let none = Grant::default();
        let grant = self.plugins.get(&manifest.name).unwrap_or(&none);
        grant.refusals(&manifest.name, &manifest.capabilities)
    }

    /// What the plugin gets, or a sentence about what it must not have.
    pub(crate) fn access(&self, manifest: &Manifest) -> Result<Access, String> {
        let Manifest { name, capabilities, .. } = manifest;
        if let Some(refusal) = self.refusals(manifest).into_iter().next() {
            return Err(refusal);
        }
        let none = Grant::default();
        let grant = self.plugins.get(name).unwrap_or(&none);
        let asked = |key: &&String| capabilities.config_keys.contains(key);
        Ok(Access {
            plugin: Some(name.clone()),
            sql: capabilities.sql,
            event_store: capabilities.event_store,
            topics: capabilities.topics.clone(),
            config: grant
                .config
                .iter()
                .filter(|(key, _)| asked(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
    }
}

impl Grant {
    /// What is asked for and not granted, a sentence each.
    fn refusals(&self, name: &PluginName, asked: &Capabilities) -> Vec<String> {
        let mut refusals = Vec::new();
        let mut refuse = |what: &str, how: String| {
            refusals.push(format!(
                "plugin {name} asks for {what}, which is not granted: add [plugins.{name}] grant.{how}"
            ));
        };
        if asked.sql && !self.sql {
            refuse("sql", "sql = true".into());
        }
        if asked.event_store && !self.event_store {
            refuse("the event store", "event_store = true".into());
        }
        let granted = |topic: &String| self.topics.iter().any(|pattern| covers(pattern, topic));
        for topic in asked.topics.iter().filter(|topic| !granted(topic)) {
            refuse(&format!("topic {topic}"), format!("topics = [\"{topic}\"]"));
        }
        for key in asked.config_keys.iter().filter(|key| !self.config.contains_key(*key)) {
            refuse(&format!("configuration key {key}"), format!("config.{key} = \"…\""));
        }
        refusals
    }
}

/// Whether all that `asked` (a topic, or a prefix with `*`) stands for is covered by `pattern`.
pub(crate) fn covers(pattern: &str, asked: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => asked.strip_suffix('*').unwrap_or(asked).starts_with(prefix),
        None => pattern == asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_what_begins_with_it() {
        let cases = [
            ("orders.*", "orders.created", true),
            ("orders.*", "orders.eu.*", true),
            ("orders.*", "order", false),
            ("orders.*", "*", false),
            ("orders.created", "orders.*", false),
            ("orders.created", "orders.created", true),
            ("*", "anything", true),
        ];
        for (pattern, asked, expected) in cases {
            assert_eq!(covers(pattern, asked), expected, "{pattern} {asked}");
        }
    }
}
