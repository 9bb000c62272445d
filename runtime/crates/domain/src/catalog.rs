//! Which plugins run here, and what they answer for.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    definition::Definition,
    flow::Flow,
    ids::{Digest, PluginName},
    lifecycle::HOOKS,
    manifest::{HttpTrigger, Locator, Manifest},
    schedule::Schedule,
};

/// The plugins of a host, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By name.
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// The active version of each definition, by its name.
    pub definitions: BTreeMap<Arc<str>, Active>,
}

/// An active plugin.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its module.
    pub digest: Digest,
    /// What it says of itself.
    pub manifest: Arc<Manifest>,
    /// Whether it hears of its sagas' lives.
    pub lifecycle: bool,
}

/// An active definition.
#[derive(Clone, Debug)]
pub struct Active {
    /// With the operator's overrides.
    pub definition: Arc<Definition>,
    /// Routes that start it.
    pub http: Vec<HttpTrigger>,
    /// Topics whose records start it, each with where the business key is.
    pub topics: Vec<(String, Locator)>,
    /// Times at which it starts by itself.
    pub schedule: Option<Arc<Schedule>>,
}

/// Who takes the records of a topic.
#[derive(Clone, Debug, PartialEq)]
pub enum Recipient {
    /// Waiting steps, found by what the locator finds.
    Waits(Locator),
    /// The plugin's `handle-in`.
    Plugin(PluginName),
    /// A new saga of this definition, whose business key the locator finds.
    Start(Arc<Definition>, Locator),
}

impl Catalog {
    /// The definition that a POST to this path starts.
    pub fn http_trigger(&self, path: &str) -> Option<(&Active, &HttpTrigger)> {
        self.definitions.values().find_map(|active| {
            active.http.iter().find(|trigger| trigger.path == path).map(|http| (active, http))
        })
    }

    /// Every topic that somebody hears, sorted.
    pub fn topics(&self) -> Vec<String> {
        let mut topics: Vec<_> = self
            .plugins
            .values()
            .flat_map(|plugin| &plugin.manifest.subscriptions)
            .map(|subscription| subscription.topic.clone())
            .chain(self.definitions.values().flat_map(Active::topic_names))
            .collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Who takes the records of this topic: the first subscription, by plugin name, else the first trigger.
    pub fn recipient(&self, topic: &str) -> Option<Recipient> {
        if let Some(plugin) = topic.strip_prefix(HOOKS) {
            let (name, _) = self.plugins.iter().find(|(name, _)| name.as_str() == plugin)?;
            return Some(Recipient::Plugin(name.clone()));
        }
        self.subscriber(topic).or_else(|| {
            self.definitions.values().find_map(|active| {
                let (_, key) = active.topics.iter().find(|(name, _)| name == topic)?;
                Some(Recipient::Start(Arc::clone(&active.definition), key.clone()))
            })
        })
    }

    /// Every topic of this flow that a plugin takes part in.
    pub fn handled_topics(&self, flow: Flow) -> Vec<String> {
        let manifests = self.plugins.values().map(|plugin| &plugin.manifest);
        manifests.flat_map(|manifest| manifest.handled_topics(flow)).cloned().collect()
    }

    /// The plugin that takes part in this topic of this flow.
    pub fn handler(&self, flow: Flow, topic: &str) -> Option<PluginName> {
        let takes_part =
            |plugin: &Plugin| plugin.manifest.handled_topics(flow).iter().any(|name| name == topic);
        let (name, _) = self.plugins.iter().find(|(_, plugin)| takes_part(plugin))?;
        Some(name.clone())
    }

    fn subscriber(&self, topic: &str) -> Option<Recipient> {
        self.plugins.iter().find_map(|(name, plugin)| {
            let subscription =
                plugin.manifest.subscriptions.iter().find(|candidate| candidate.topic == topic)?;
            Some(match &subscription.correlation {
                Some(locator) => Recipient::Waits(locator.clone()),
                None => Recipient::Plugin(name.clone()),
            })
        })
    }
}

impl Active {
    fn topic_names(&self) -> impl Iterator<Item = String> {
        self.topics.iter().map(|(topic, _)| topic.clone())
    }
}
