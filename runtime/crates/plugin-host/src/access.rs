//! What a loaded plugin may reach, by what it is called for.

use std::{collections::BTreeMap, sync::Arc};

use wasaga_domain::{attempt::Direction, http::HttpReach, ids::PluginName, manifest::Capabilities};

use crate::{
    grants::{Grant, covers},
    secrets::Secrets,
};

/// What a plugin is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A step on its way forward, a task, or an event.
    Execute,
    /// The undo of a step.
    Compensate,
}

impl From<Direction> for Phase {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Execute,
            Direction::Undo => Self::Compensate,
        }
    }
}

/// What a plugin may reach in each phase.
#[derive(Debug)]
pub(crate) struct Accesses {
    execute: Arc<Access>,
    compensate: Arc<Access>,
}

impl Accesses {
    pub(crate) fn new(execute: Access, compensate: Access) -> Self {
        Self { execute: execute.into(), compensate: compensate.into() }
    }

    /// The same in both.
    pub(crate) fn alike(access: Access) -> Self {
        let access = Arc::new(access);
        Self { execute: access.clone(), compensate: access }
    }

    pub(crate) fn of(&self, phase: Phase) -> &Arc<Access> {
        match phase {
            Phase::Execute => &self.execute,
            Phase::Compensate => &self.compensate,
        }
    }

    /// Whether this holds in any phase.
    pub(crate) fn any(&self, is: impl Fn(&Access) -> bool) -> bool {
        is(&self.execute) || is(&self.compensate)
    }
}

/// What a plugin may reach.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// Absent while it is being asked what it is.
    pub plugin: Option<PluginName>,
    /// SQL in its own schema.
    pub sql: bool,
    /// Event streams of its own.
    pub event_store: bool,
    /// Where its requests may go.
    pub http: HttpReach,
    /// All of the plugin's, whatever the phase.
    pub secrets: Arc<Secrets>,
    secret_keys: Vec<String>,
    topics: Vec<String>,
    config: BTreeMap<String, String>,
    /// Absent: it is the same in every phase.
    phase: Option<Phase>,
}

impl Access {
    /// What is both asked for and granted.
    pub(crate) fn new(
        name: &PluginName,
        asked: &Capabilities,
        grant: &Grant,
        secrets: Arc<Secrets>,
    ) -> Self {
        let hosts = asked.http_hosts.iter().filter(|host| grant.calls(host));
        let topics = asked.topics.iter().filter(|topic| grant.sends(topic));
        let keys = asked.secrets.iter().filter(|key| grant.secrets.contains_key(*key));
        let config = grant.config.iter().filter(|(key, _)| asked.config_keys.contains(key));
        Self {
            plugin: Some(name.clone()),
            sql: asked.sql && grant.sql,
            event_store: asked.event_store && grant.event_store,
            http: HttpReach { hosts: hosts.cloned().collect(), private: grant.http_private },
            secrets,
            secret_keys: keys.cloned().collect(),
            topics: topics.cloned().collect(),
            config: config.map(|(key, value)| (key.clone(), value.clone())).collect(),
            phase: None,
        }
    }

    /// The same, of one phase alone.
    pub(crate) fn only(self, phase: Phase) -> Self {
        Self { phase: Some(phase), ..self }
    }

    /// Whether its calls may wait for the database.
    pub(crate) fn database(&self) -> bool {
        self.sql || self.event_store
    }

    /// Whether its calls may send requests.
    pub(crate) fn http(&self) -> bool {
        !self.http.hosts.is_empty()
    }

    /// What a plugin is told that uses what it has not; `key` is the manifest's, `grant` the configuration's line.
    pub(crate) fn denial(&self, what: &str, grant: &str, key: &str) -> String {
        let name = self.name();
        let (when, table) = self.when();
        format!(
            "plugin {name} is not granted {what}{when}: ask for it in the manifest (capabilities.{key}) and add \
             [plugins.{name}] {table}.{grant}"
        )
    }

    /// When this holds, as a part of a sentence, and the configuration's table for it.
    pub(crate) fn when(&self) -> (&'static str, &'static str) {
        match self.phase {
            None => ("", "grant"),
            Some(Phase::Execute) => (" while it executes", "grant"),
            Some(Phase::Compensate) => (" while it compensates", "grant.compensate"),
        }
    }

    /// Whether it may send to this topic.
    pub(crate) fn may_send(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| covers(pattern, topic))
    }

    /// What is said besides about a topic that it asks for, and may not send to in this phase.
    pub(crate) fn topics_hint(&self, topic: &str) -> String {
        self.phase.map_or_else(String::new, |_| {
            let (name, table) = (self.name(), self.when().1);
            format!(", or [plugins.{name}] {table}.topics = [\"{topic}\"] is missing")
        })
    }

    /// A value of its configuration, or a secret.
    pub(crate) fn config(&self, key: &str) -> Option<String> {
        let secret =
            || self.secret_keys.iter().any(|own| own == key).then(|| self.secrets.get(key));
        self.config.get(key).cloned().or_else(|| secret().flatten())
    }

    /// The plugin's name, for messages.
    pub(crate) fn name(&self) -> &str {
        self.plugin.as_ref().map_or("(being loaded)", PluginName::as_str)
    }
}
