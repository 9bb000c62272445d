//! `[kafka]`: the broker, and whatever librdkafka can be told.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use figment::value::{Dict, Value};
use serde::{Deserialize, Deserializer, de::Error as _};
use wasaga_kafka::TokenSource;

use super::{
    ConfigError,
    secrets::{self, Secret},
};

/// The broker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Without it nothing is consumed, and messages wait in the outbox.
    pub enabled: bool,
    /// A broker in this process, for development: in memory, and for this host alone.
    pub embedded: bool,
    /// `host:port`, with commas between several.
    pub brokers: String,
    /// The consumer group, which all hosts of one database share.
    pub group: String,
    /// librdkafka's options for both sides.
    pub properties: Properties,
    /// librdkafka's options for the relay alone.
    pub producer: Properties,
    /// librdkafka's options for the consumer alone.
    pub consumer: Properties,
    /// Where bearer tokens come from, for `sasl.mechanism = OAUTHBEARER`.
    pub oauth: OAuth,
}

/// Where bearer tokens come from: a file, or an identity provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth {
    /// Holds a JWT, which something else keeps fresh.
    pub token_file: Option<PathBuf>,
    /// The provider's token endpoint.
    pub token_url: Option<String>,
    /// The client that asks there.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// What to ask for.
    pub scope: Option<String>,
    /// Holds certificates, in PEM, that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Which broker there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// None.
    Off,
    /// The one in this process.
    Embedded,
    /// Those that are named.
    Named,
}

/// librdkafka's options, by name. Keys may be quoted (`"linger.ms" = 5`) or not (`linger.ms = 5`). Values are not
/// printed: there are passwords among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(pub BTreeMap<String, String>);

impl Default for Kafka {
    fn default() -> Self {
        Self {
            enabled: true,
            embedded: false,
            brokers: String::new(),
            group: "wasaga".into(),
            properties: Properties::default(),
            producer: Properties::default(),
            consumer: Properties::default(),
            oauth: OAuth::default(),
        }
    }
}

impl Kafka {
    /// Which broker there is.
    pub fn broker(&self) -> Brokers {
        match (self.enabled, self.embedded) {
            (false, _) => Brokers::Off,
            (true, true) => Brokers::Embedded,
            (true, false) => Brokers::Named,
        }
    }

    /// All of librdkafka's options, those for one side with `producer.` or `consumer.` before their names; secrets
    /// are read from where they are.
    pub fn properties(&self, brokers: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        let side = |prefix: &'static str, properties: &Properties| {
            let own = properties.0.clone().into_iter();
            own.map(move |(name, value)| (format!("{prefix}{name}"), value))
        };
        let servers = ("bootstrap.servers".to_owned(), brokers.to_owned());
        let all = [servers]
            .into_iter()
            .chain(side("", &self.properties))
            .chain(side("producer.", &self.producer))
            .chain(side("consumer.", &self.consumer))
            .collect();
        secrets::resolved(all)
    }

    pub(super) fn fault(&self) -> Option<String> {
        let named = !self.brokers.trim().is_empty();
        if self.enabled && self.embedded && named {
            return Some(
                "kafka.embedded = true and kafka.brokers exclude each other: remove one".into(),
            );
        }
        if let Some(fault) = self.oauth.fault() {
            return Some(fault);
        }
        if self.group.trim().is_empty() {
            return Some("kafka.group is empty: name the consumer group".into());
        }
        let servers = ["bootstrap.servers", "metadata.broker.list"];
        let sides = [
            ("properties", &self.properties),
            ("producer", &self.producer),
            ("consumer", &self.consumer),
        ];
        sides.iter().find_map(|(side, properties)| {
            let name = servers.iter().find(|name| properties.0.contains_key(**name))?;
            Some(format!("kafka.{side} {name:?}: the brokers are named by kafka.brokers"))
        })
    }
}

impl OAuth {
    /// Where tokens come from, if they do.
    pub fn source(&self) -> Result<Option<TokenSource>, ConfigError> {
        if let Some(path) = &self.token_file {
            return Ok(Some(TokenSource::File(path.clone())));
        }
        let (Some(url), Some(client_id), Some(secret)) =
            (&self.token_url, &self.client_id, &self.client_secret)
        else {
            return Ok(None);
        };
        let certificates = self.ca_file.as_deref();
        let certificates = certificates.map(|path| secrets::read("kafka.oauth.ca_file", path));
        Ok(Some(TokenSource::Endpoint {
            url: url.clone(),
            client_id: client_id.clone(),
            client_secret: secret.read("kafka.oauth.client_secret")?,
            scope: self.scope.clone(),
            certificates: certificates.transpose()?,
        }))
    }

    fn fault(&self) -> Option<String> {
        let client = self.client_id.is_some()
            || self.client_secret.is_some()
            || self.scope.is_some()
            || self.ca_file.is_some();
        let fault = match (&self.token_file, &self.token_url) {
            (Some(_), Some(_)) => {
                "token_file and kafka.oauth.token_url exclude each other: remove one"
            }
            (_, None) if client => {
                "token_url is missing: name the identity provider's token endpoint"
            }
            (_, Some(_)) if self.client_id.is_none() => {
                "client_id is missing: name the client of token_url"
            }
            (_, Some(_)) if self.client_secret.is_none() => {
                "client_secret is missing: give it, or client_secret.file or client_secret.env"
            }
            _ => return None,
        };
        Some(format!("kafka.oauth.{fault}"))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut properties = BTreeMap::new();
        flatten(Dict::deserialize(deserializer)?, "", &mut properties).map_err(D::Error::custom)?;
        Ok(Self(properties))
    }
}

/// An unquoted `linger.ms = 5` is a table in TOML.
fn flatten(dict: Dict, prefix: &str, into: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in dict {
        let name = format!("{prefix}{name}");
        let text = match value {
            Value::Dict(_, inner) => {
                flatten(inner, &format!("{name}."), into)?;
                continue;
            }
            Value::String(_, text) => text,
            Value::Bool(_, flag) => flag.to_string(),
            Value::Num(_, number) => (number.to_u128().map(|n| n.to_string()))
                .or_else(|| number.to_i128().map(|n| n.to_string()))
                .or_else(|| number.to_f64().map(|n| n.to_string()))
                .unwrap_or_default(),
            _ => return Err(format!("{name}: must be text, a number or a boolean")),
        };
        into.insert(name, text);
    }
    Ok(())
}
