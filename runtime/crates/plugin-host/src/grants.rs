//! What the operator lets plugins do. A plugin asks in its manifest; it gets what is granted, and is refused where it
//! asks for more.

use std::collections::BTreeMap;

use serde::Deserialize;
use wasaga_domain::{
    http::HostPattern,
    ids::PluginName,
    manifest::{Capabilities, Manifest},
};

use crate::{
    access::{Access, Accesses, Phase},
    secrets::{SecretSource, Secrets},
};

/// All grants of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Whatever a plugin asks for is granted, private addresses included: for a developer's machine.
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
    /// Hosts that its requests may go to; `*.example.com` covers subdomains.
    pub http_hosts: Vec<HostPattern>,
    /// Its requests may go to private addresses.
    pub http_private: bool,
    /// Topics it may send to; `orders.*` covers a prefix.
    pub topics: Vec<String>,
    /// The configuration it may read.
    pub config: BTreeMap<String, String>,
    /// The secrets it may read, as configuration.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Holds in the place of all the others while it compensates.
    pub compensate: Option<Box<Self>>,
}

impl Grants {
    /// What is wrong with them, secrets that are not there included, if anything is.
    pub fn fault(&self) -> Option<String> {
        self.plugins.iter().find_map(|(name, grant)| {
            let fault = grant.fault("grant").or_else(|| {
                grant.compensate.as_ref().and_then(|undo| undo.fault("grant.compensate"))
            });
            fault.map(|fault| format!("plugins.{name}.{fault}"))
        })
    }

    /// What the plugin asks for and is not granted, a sentence each.
    pub(crate) fn refusals(&self, manifest: &Manifest) -> Vec<String> {
        if self.grant_all {
            return Vec::new();
        }
        self.of(&manifest.name).refusals(&manifest.name, &manifest.capabilities)
    }

    /// What the plugin gets, or a sentence about what it must not have.
    pub(crate) fn access(&self, manifest: &Manifest) -> Result<Accesses, String> {
        let Manifest { name, capabilities: asked, .. } = manifest;
        if let Some(refusal) = self.refusals(manifest).into_iter().next() {
            return Err(refusal);
        }
        let mut grant = self.of(name);
        if self.grant_all {
            grant = Grant { compensate: None, ..Grant::all(asked, grant) };
        }
        let sources = grant.both().flat_map(|grant| &grant.secrets);
        let sources = sources.filter(|(key, _)| asked.secrets.contains(key));
        let secrets = Secrets::load(sources).map_err(|fault| format!("plugin {name}: {fault}"))?;
        let access = Access::new(name, asked, &grant, secrets.into());
        Ok(match &grant.compensate {
            None => Accesses::alike(access),
            Some(undo) => {
                let undo = Access::new(name, asked, undo, access.secrets.clone());
                Accesses::new(access.only(Phase::Execute), undo.only(Phase::Compensate))
            }
        })
    }

    fn of(&self, name: &PluginName) -> Grant {
        self.plugins.get(name).cloned().unwrap_or_default()
    }
}

impl Grant {
    /// All that is asked for; what has values gets those that are given.
    fn all(asked: &Capabilities, given: Self) -> Self {
        Self {
            sql: asked.sql,
            event_store: asked.event_store,
            http_hosts: asked.http_hosts.clone(),
            http_private: true,
            topics: asked.topics.clone(),
            ..given
        }
    }

    /// This one, and what holds while the plugin compensates.
    fn both(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.compensate.as_deref())
    }

    fn fault(&self, key: &str) -> Option<String> {
        if self.http_private && self.http_hosts.is_empty() {
            return Some(format!("{key}.http_private grants nothing without {key}.http_hosts"));
        }
        if let Some(both) = self.secrets.keys().find(|name| self.config.contains_key(*name)) {
            return Some(format!("{key}.secrets.{both} is in {key}.config too: remove one"));
        }
        let other = self.compensate.iter().flat_map(|undo| &undo.secrets);
        let other = other
            .filter(|(name, source)| self.secrets.get(*name).is_some_and(|own| own != *source));
        if let Some((name, _)) = other.into_iter().next() {
            return Some(format!(
                "{key}.compensate.secrets.{name} is found elsewhere than {key}.secrets.{name}: give one of them another name"
            ));
        }
        if self.compensate.as_ref().is_some_and(|undo| undo.compensate.is_some()) {
            return Some(format!("{key}.compensate has a compensate of its own: remove it"));
        }
        self.secrets.iter().find_map(|(name, source)| {
            source.read().err().map(|why| format!("{key}.secrets.{name}: {why}"))
        })
    }

    /// What is asked for and not granted in any phase, a sentence each.
    fn refusals(&self, name: &PluginName, asked: &Capabilities) -> Vec<String> {
        let mut refusals = Vec::new();
        let mut refuse = |what: &str, how: String| {
            refusals.push(format!(
                "plugin {name} asks for {what}, which is not granted: add [plugins.{name}] grant.{how}"
            ));
        };
        let granted = |is: &dyn Fn(&Self) -> bool| self.both().any(is);
        if asked.sql && !granted(&|grant| grant.sql) {
            refuse("sql", "sql = true".into());
        }
        if asked.event_store && !granted(&|grant| grant.event_store) {
            refuse("the event store", "event_store = true".into());
        }
        for host in asked.http_hosts.iter().filter(|host| !granted(&|grant| grant.calls(host))) {
            refuse(&format!("HTTP to {host}"), format!("http_hosts = [\"{host}\"]"));
        }
        for topic in asked.topics.iter().filter(|topic| !granted(&|grant| grant.sends(topic))) {
            refuse(&format!("topic {topic}"), format!("topics = [\"{topic}\"]"));
        }
        let keys = &asked.config_keys;
        for key in keys.iter().filter(|key| !granted(&|grant| grant.config.contains_key(*key))) {
            refuse(&format!("configuration key {key}"), format!("config.{key} = \"…\""));
        }
        let keys = &asked.secrets;
        for key in keys.iter().filter(|key| !granted(&|grant| grant.secrets.contains_key(*key))) {
            refuse(&format!("secret {key}"), format!("secrets.{key} = {{ file = \"…\" }}"));
        }
        refusals
    }

    /// Whether all that is asked for by this host is granted.
    pub(crate) fn calls(&self, asked: &HostPattern) -> bool {
        self.http_hosts.iter().any(|pattern| pattern.covers(asked))
    }

    /// Whether all that is asked for by this topic is granted.
    pub(crate) fn sends(&self, asked: &str) -> bool {
        self.topics.iter().any(|pattern| covers(pattern, asked))
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

    #[test]
    fn what_is_granted_in_one_phase_is_had_in_that_phase() {
        let name: PluginName = "p".parse().expect("a name");
        let asked = Capabilities {
            sql: true,
            http_hosts: vec!["api.example.com".parse().expect("a host")],
            topics: vec!["p.*".into()],
            config_keys: vec!["region".into()],
            ..Capabilities::default()
        };
        let undo = Grant {
            http_hosts: vec!["*.example.com".parse().expect("a host")],
            topics: vec!["p.*".into()],
            ..Grant::default()
        };
        let config = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
        let grant = Grant { sql: true, config, compensate: Some(undo.into()), ..Grant::default() };
        assert_eq!(grant.refusals(&name, &asked), [""; 0]);
        let grants = Grants { grant_all: false, plugins: [(name.clone(), grant)].into() };
        let manifest =
            serde_json::json!({ "name": name, "version": "1.0.0", "capabilities": asked });
        let manifest = serde_json::from_value(manifest).expect("a manifest");
        let access = grants.access(&manifest).expect("all is granted");
        let url = "https://api.example.com/".parse().expect("a URL");
        let (forward, undo) = (access.of(Phase::Execute), access.of(Phase::Compensate));
        assert!(forward.sql && !forward.http.covers(&url) && !forward.may_send("p.x"));
        assert!(!undo.sql && undo.http.covers(&url) && undo.may_send("p.x"));
        assert_eq!(forward.config("region").as_deref(), Some("eu"));
        assert_eq!(undo.config("region"), None);
        let denial = undo.denial("sql", "sql = true", "sql");
        assert_eq!(
            denial,
            "plugin p is not granted sql while it compensates: ask for it in the manifest (capabilities.sql) and add \
             [plugins.p] grant.compensate.sql = true"
        );
        let denial = forward.denial("HTTP", "http_hosts = [\"h\"]", "http_hosts");
        assert!(
            denial.contains("while it executes: ") && denial.contains("grant.http_hosts = "),
            "{denial}"
        );
    }

    #[test]
    fn grants_that_can_not_be_meant_are_refused() {
        let fault = |grant: Grant| {
            let plugins = [("p".parse().expect("a name"), grant)].into();
            Grants { grant_all: false, plugins }.fault().expect("a fault")
        };
        let given = |value: &str| [("k".to_owned(), SecretSource::Given(value.into()))].into();
        let private = Grant { http_private: true, ..Grant::default() };
        assert!(fault(private.clone()).contains("plugins.p.grant.http_private grants nothing"));
        let within = Grant { compensate: Some(private.into()), ..Grant::default() };
        assert!(fault(within.clone()).contains("plugins.p.grant.compensate.http_private"));
        let twice = Grant { compensate: Some(within.into()), ..Grant::default() };
        assert!(fault(twice).contains("compensate has a compensate"));
        let short = Grant { secrets: given("abc"), ..Grant::default() };
        assert!(fault(short).contains("plugins.p.grant.secrets.k: it has 3 characters"));
        let config = [("k".to_owned(), "v".to_owned())].into();
        let both = Grant { secrets: given("abcd"), config, ..Grant::default() };
        assert!(fault(both).contains("secrets.k is in grant.config too"));
    }
}
