//! `[plugins]`: where plugins come from; `[plugins.NAME]`: what the plugin of this name may do.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt,
    num::NonZeroU32,
    path::PathBuf,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use wasaga_domain::{definition::Overrides, ids::PluginName};
use wasaga_egress::Egress;
use wasaga_plugin_host::{Grant, Grants, Limits, Options, TrustedKeys};

use super::{ConfigError, PluginFlows, at_least, flows::OwnLimit, secrets};

/// Where plugins come from, and what each of them may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    /// The watched directory; absent: only those in the database run.
    pub dir: Option<PathBuf>,
    /// How often the directory and the database are looked at.
    pub poll_ms: u64,
    /// Whatever plugins ask for is granted: for development.
    pub grant_all: bool,
    /// Public keys of minisign; where there is one, a module has to be signed by one of them.
    pub trusted_keys: Vec<String>,
    /// Where compiled modules are kept; absent: the user's cache directory; empty: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// Guests that run at once on threads of their own; absent: one a core.
    pub guest_threads: Option<usize>,
    /// Guests granted `sql` or the event store that run at once.
    pub sql_calls: usize,
    /// Guests granted HTTP, and neither of these, that run at once.
    pub http_calls: usize,
    /// Holds certificates that guests' requests trust beside the system's.
    pub http_ca_file: Option<PathBuf>,
    /// How much a guest may take.
    pub guest_limits: Limits,
    /// By name.
    pub grants: BTreeMap<PluginName, Grant>,
    /// Attempts that one instance serves, where it is more than one, by the plugin's name.
    pub calls_per_instance: BTreeMap<PluginName, u32>,
    /// Plugins of which it is kept what their requests came to.
    pub record_http: BTreeSet<PluginName>,
    /// How much of the task flows each takes at once, where it has limits of its own.
    pub flows: BTreeMap<PluginName, PluginFlows>,
}

/// The keys that are not a plugin's name. But for the first they have an underscore, as no plugin's name has.
const KEYS: [&str; 10] = [
    "dir",
    "poll_ms",
    "grant_all",
    "trusted_keys",
    "cache_dir",
    "guest_threads",
    "sql_calls",
    "http_calls",
    "http_ca_file",
    "guest_limits",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPlugin {
    #[serde(default)]
    grant: Grant,
    /// Attempts that one instance serves, one after another.
    #[serde(default)]
    calls_per_instance: Option<NonZeroU32>,
    /// Whether it is kept what its requests came to.
    #[serde(default)]
    record_http: bool,
    /// How much of the task flows it takes at once.
    #[serde(default)]
    flows: PluginFlows,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            dir: None,
            poll_ms: 500,
            grant_all: false,
            trusted_keys: Vec::new(),
            cache_dir: None,
            guest_threads: None,
            sql_calls: Options::default().sql_calls,
            http_calls: Options::default().http_calls,
            http_ca_file: None,
            guest_limits: Limits::default(),
            grants: BTreeMap::new(),
            calls_per_instance: BTreeMap::new(),
            record_http: BTreeSet::new(),
            flows: BTreeMap::new(),
        }
    }
}

impl Plugins {
    /// What the plugin host is made with; nobody sends its guests' requests yet.
    pub fn options(&self, overrides: &Overrides) -> Options {
        let defaults = Options::default();
        Options {
            limits: self.guest_limits.clone(),
            grants: self.all_grants(),
            overrides: overrides.clone(),
            // What is wrong with them is told before.
            trusted: self.trusted().unwrap_or_default(),
            cache_dir: self.cache(),
            threads: self.guest_threads.unwrap_or(defaults.threads),
            sql_calls: self.sql_calls,
            reuse: self.calls_per_instance.clone(),
            http_calls: self.http_calls,
            http: None,
            recorded: None,
            replays: false,
        }
    }

    /// The same, if all of it can be meant and its secrets are there.
    pub fn granted(&self) -> Result<Grants, ConfigError> {
        let grants = self.all_grants();
        grants.fault().map_or(Ok(grants), |fault| Err(ConfigError::new(fault)))
    }

    /// What sends guests' requests.
    pub fn egress(&self) -> Result<Egress, ConfigError> {
        let key = "plugins.http_ca_file";
        let Some(path) = &self.http_ca_file else { return Egress::new().map_err(ConfigError::new) };
        let pem = secrets::read(key, path)?;
        Egress::trusting(&pem).map_err(|why| ConfigError::new(format!("{key}: {why}")))
    }

    /// What each plugin may do.
    pub fn all_grants(&self) -> Grants {
        Grants { grant_all: self.grant_all, plugins: self.grants.clone() }
    }

    /// Who has to have signed a module.
    pub fn trusted(&self) -> Result<TrustedKeys, String> {
        let wrong = |why| format!("plugins.trusted_keys: {why}");
        TrustedKeys::parse(&self.trusted_keys).map_err(wrong)
    }

    /// How many calls of one flow each plugin has at once that has a limit of its own there.
    pub(super) fn own_limits(&self, of: OwnLimit) -> BTreeMap<PluginName, usize> {
        let own = |(name, flows): (&PluginName, _)| Some((name.clone(), of(flows)?));
        self.flows.iter().filter_map(own).collect()
    }

    fn cache(&self) -> Option<PathBuf> {
        let Some(named) = &self.cache_dir else {
            let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
            let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
            return Some(base.join("wasaga/modules"));
        };
        Some(named.clone()).filter(|path| !path.as_os_str().is_empty())
    }

    pub(super) fn fault(&self) -> Option<String> {
        at_least("plugins.poll_ms", self.poll_ms, 10)
            .or_else(|| at_least("plugins.sql_calls", self.sql_calls, 1))
            .or_else(|| at_least("plugins.http_calls", self.http_calls, 1))
            .or_else(|| at_least("plugins.guest_threads", self.guest_threads?, 1))
            .or_else(|| {
                let stack = self.guest_limits.stack_bytes;
                let told = "plugins.guest_limits.stack_bytes must be 65536 to 1048576";
                (!(64 << 10..=1 << 20).contains(&stack)).then(|| format!("{told}, and is {stack}"))
            })
            .or_else(|| self.trusted().err())
            .or_else(|| self.flows.iter().find_map(|(name, flows)| flows.fault(name.as_str())))
    }
}

impl<'de> Deserialize<'de> for Plugins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Section)
    }
}

struct Section;

impl<'de> Visitor<'de> for Section {
    type Value = Plugins;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the section [plugins]")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Plugins, M::Error> {
        let mut plugins = Plugins::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "dir" => plugins.dir = map.next_value()?,
                "poll_ms" => plugins.poll_ms = map.next_value()?,
                "grant_all" => plugins.grant_all = map.next_value()?,
                "trusted_keys" => plugins.trusted_keys = map.next_value()?,
                "cache_dir" => plugins.cache_dir = map.next_value()?,
                "guest_threads" => plugins.guest_threads = map.next_value()?,
                "sql_calls" => plugins.sql_calls = map.next_value()?,
                "http_calls" => plugins.http_calls = map.next_value()?,
                "http_ca_file" => plugins.http_ca_file = map.next_value()?,
                "guest_limits" => plugins.guest_limits = map.next_value()?,
                name => {
                    let name: PluginName =
                        name.parse().map_err(|_| M::Error::unknown_field(name, &KEYS))?;
                    let OfPlugin { grant, calls_per_instance, record_http, flows } =
                        map.next_value()?;
                    let calls = calls_per_instance.map(|calls| (name.clone(), calls.get()));
                    plugins.calls_per_instance.extend(calls);
                    plugins.record_http.extend(record_http.then(|| name.clone()));
                    plugins.flows.insert(name.clone(), flows);
                    plugins.grants.insert(name, grant);
                }
            }
        }
        Ok(plugins)
    }
}
