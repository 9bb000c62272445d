//! librdkafka's options, passed through: `producer.` and `consumer.` before a key limit it to one side. Refused is
//! only what would break a promise, or what librdkafka itself does not know.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    config::{FromClientConfig, RDKafkaLogLevel},
    consumer::BaseConsumer,
    error::KafkaError,
    producer::BaseProducer,
};
use tokio::runtime::Handle;

use crate::oauth::{NO_SOURCE, TokenSource, Tokens};

/// An option that can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No broker is named.
    #[error("kafka option bootstrap.servers is missing: name a broker, as `host:port`")]
    NoBroker,
    /// The host fixes this one.
    #[error("kafka option {key} = {value}: wasaga needs {needed} here, {why}; remove the option")]
    Fixed {
        /// As the user wrote it.
        key: String,
        /// As the user wrote it.
        value: String,
        /// What it has to be.
        needed: String,
        /// Why.
        why: &'static str,
    },
    /// librdkafka refuses it. The value is not told: it may be a secret.
    #[error("kafka option {key}: {reason}")]
    Refused {
        /// As the user wrote it.
        key: String,
        /// librdkafka's own words.
        reason: String,
    },
    /// librdkafka refuses the options together.
    #[error("kafka options: {0}")]
    Together(String),
    /// A relay can't retry so.
    #[error("the relay's retry: {0}")]
    Retry(&'static str),
    /// The options and where tokens come from do not fit together, or none will ever come.
    #[error("{0}")]
    Tokens(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Producer,
    Consumer,
}

/// An option that is not the user's: on which side, its name, what it has to be, why.
const FIXED: [(Side, &str, &[&str], &str); 8] = [
    (Side::Producer, "enable.idempotence", &["true"], "or a retry may duplicate or reorder"),
    (Side::Producer, "acks", &["all", "-1"], "or an acknowledged message may be lost"),
    (Side::Producer, "transactional.id", &[], "as each message stands for itself"),
    (Side::Producer, "delivery.report.only.error", &["false"], "or messages are never marked"),
    (Side::Consumer, "enable.auto.commit", &["false"], "as offsets are stored with the tasks"),
    (
        Side::Consumer,
        "enable.auto.offset.store",
        &["false"],
        "as offsets are stored with the tasks",
    ),
    (Side::Consumer, "enable.partition.eof", &["false"], "as the end of a partition is no error"),
    (Side::Consumer, "group.id", &[], "as it is set by kafka.group"),
];

/// Options that librdkafka knows by two names, and the one that is used here: with both set, which it heeds would be chance.
const ALIASES: [(&str, &str); 9] = [
    ("sasl.mechanism", "sasl.mechanisms"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("compression.codec", "compression.type"),
    ("message.send.max.retries", "retries"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
    ("request.required.acks", "acks"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
];

/// Tokens for nobody.
const NO_TAKER: &str = "kafka.oauth gives tokens that no client takes: set sasl.mechanism = OAUTHBEARER and \
                        security.protocol = SASL_SSL in kafka.properties, without \
                        enable.sasl.oauthbearer.unsecure.jwt; or remove kafka.oauth";

/// Checked options for both clients. Their values are not printed: there are passwords among them.
#[derive(Clone)]
pub struct ClientOptions {
    properties: BTreeMap<String, String>,
    tokens: Option<Arc<TokenSource>>,
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.properties.keys()).finish()
    }
}

impl ClientOptions {
    /// Checks every option; nothing is connected yet.
    pub fn new(properties: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let options = Self { properties, tokens: None };
        let broker = |side| options.of(side).any(|(_, name, _)| name == "bootstrap.servers");
        if !broker(Side::Producer) || !broker(Side::Consumer) {
            return Err(ConfigError::NoBroker);
        }
        for side in [Side::Producer, Side::Consumer] {
            for (key, name, value) in options.of(side) {
                let fixed = FIXED.iter().find(|fixed| fixed.0 == side && fixed.1 == name);
                if let Some((_, _, allowed, why)) = fixed
                    && !allowed.contains(&value)
                {
                    return Err(ConfigError::Fixed {
                        key: key.to_owned(),
                        value: value.to_owned(),
                        needed: allowed.first().unwrap_or(&"nothing").to_string(),
                        why,
                    });
                }
            }
            options.client(side).create_native_config().map_err(|error| options.refusal(error))?;
        }
        Ok(options)
    }

    /// With bearer tokens, for `sasl.mechanism = OAUTHBEARER`.
    #[must_use]
    pub fn with_tokens(self, source: TokenSource) -> Self {
        Self { tokens: Some(Arc::new(source)), ..self }
    }

    /// What would be refused later: by librdkafka, for a relay under a lease of this length, what is published first within
    /// this time, or a consumer; and by clients that have no token. Nothing is connected.
    pub fn check(&self, lease: Duration, within: Duration) -> Result<(), ConfigError> {
        made::<BaseProducer>(self.producer(lease)?)?;
        made::<BaseProducer>(self.publisher(within))?;
        made::<BaseConsumer>(self.consumer("wasaga"))?;
        let takes = self.takes_tokens(Side::Producer)? || self.takes_tokens(Side::Consumer)?;
        let fault = match (takes, &self.tokens) {
            (true, None) => Some(NO_SOURCE.to_owned()),
            (false, Some(_)) => Some(NO_TAKER.to_owned()),
            (true, Some(source)) => source.fault(),
            (false, None) => None,
        };
        fault.map_or(Ok(()), |fault| Err(ConfigError::Tokens(fault)))
    }

    /// Whether a client of this side asks for tokens. librdkafka has some for development, of its own.
    fn takes_tokens(&self, side: Side) -> Result<bool, ConfigError> {
        let config =
            self.client(side).create_native_config().map_err(|error| self.refusal(error))?;
        let is = |name: &str, value: &str| config.get(name).is_ok_and(|given| given == value);
        Ok((is("security.protocol", "sasl_ssl") || is("security.protocol", "sasl_plaintext"))
            && is("sasl.mechanisms", "OAUTHBEARER")
            && !is("enable.sasl.oauthbearer.unsecure.jwt", "true"))
    }

    /// The options of one side: the key as it was written, its own name, its value; the side's own come last.
    fn of(&self, side: Side) -> impl Iterator<Item = (&str, &str, &str)> {
        let (own, other) = match side {
            Side::Producer => ("producer.", "consumer."),
            Side::Consumer => ("consumer.", "producer."),
        };
        let common = self
            .properties
            .iter()
            .filter(move |(key, _)| !key.starts_with(own) && !key.starts_with(other))
            .map(|(key, value)| (key.as_str(), key.as_str(), value.as_str()));
        let own = self.properties.iter().filter_map(move |(key, value)| {
            key.strip_prefix(own).map(|name| (key.as_str(), name, value.as_str()))
        });
        common.chain(own).map(|(key, name, value)| {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
            (key, alias.map_or(name, |(_, name)| name), value)
        })
    }

    fn refusal(&self, error: KafkaError) -> ConfigError {
        match error {
            KafkaError::ClientConfig(_, reason, name, value) => {
                let mut all = self.of(Side::Producer).chain(self.of(Side::Consumer));
                let written = all.find(|(_, own, given)| *own == name && *given == value);
                let key = written.map_or(name.clone(), |(key, _, _)| key.to_owned());
                ConfigError::Refused { key, reason }
            }
            other => ConfigError::Together(other.to_string()),
        }
    }

    fn client(&self, side: Side) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "wasaga").set_log_level(RDKafkaLogLevel::Info);
        let defaults: &[(&str, &str)] = match side {
            Side::Producer => &[("partitioner", "murmur2_random"), ("linger.ms", "1")],
            // Topics that appear later are found within seconds.
            Side::Consumer => &[
                ("auto.offset.reset", "earliest"),
                ("allow.auto.create.topics", "true"),
                ("topic.metadata.refresh.interval.ms", "5000"),
                ("statistics.interval.ms", "1000"),
                ("fetch.wait.max.ms", "100"),
            ],
        };
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (_, name, value) in self.of(side) {
            config.set(name, value);
        }
        for (_, name, value, _) in FIXED.iter().filter(|fixed| fixed.0 == side) {
            if let Some(value) = value.first() {
                config.set(*name, *value);
            }
        }
        config
    }

    /// For a producer that gives every record back before a lease of this length ends.
    pub(crate) fn producer(&self, lease: Duration) -> Result<ClientConfig, ConfigError> {
        let mut config = self.client(Side::Producer);
        let lease = lease.as_millis();
        let longest = (lease * 7 / 10).max(10);
        if let Some((key, _, value)) =
            self.of(Side::Producer).filter(|(_, name, _)| *name == "message.timeout.ms").last()
        {
            if !value.parse::<u128>().is_ok_and(|ms| ms > 0 && ms < lease) {
                return Err(ConfigError::Fixed {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    needed: format!("1 to {} (ms)", lease.saturating_sub(1)),
                    why: "as a record must not outlive the host's lease",
                });
            }
        } else {
            config.set("message.timeout.ms", longest.to_string());
        }
        let timeout = config.get("message.timeout.ms").and_then(|ms| ms.parse::<u128>().ok());
        bound_propagation(&mut config, timeout.unwrap_or(longest));
        Ok(config)
    }

    /// Where the clients' bearer tokens come from. Must be called within a tokio runtime.
    pub(crate) fn tokens(&self) -> Option<Tokens> {
        let source = self.tokens.clone()?;
        Some(Tokens { source, runtime: Handle::current() })
    }

    /// For a producer that gives a record back once it is not acknowledged within this time.
    pub(crate) fn publisher(&self, within: Duration) -> ClientConfig {
        let mut config = self.client(Side::Producer);
        let within = within.as_millis().max(10);
        config.set("message.timeout.ms", within.to_string());
        bound_propagation(&mut config, within);
        config
    }

    /// For a consumer of this group.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client(Side::Consumer);
        config.set("group.id", group);
        let assigns = ["partition.assignment.strategy", "group.protocol"];
        if assigns.iter().all(|name| config.get(name).is_none()) {
            config.set("partition.assignment.strategy", "cooperative-sticky");
        }
        config
    }
}

/// Whether librdkafka takes the options together: it says so to whoever makes a client.
fn made<C: FromClientConfig>(mut config: ClientConfig) -> Result<(), ConfigError> {
    config.remove("bootstrap.servers");
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let client: Result<C, _> = config.create();
    client.map(drop).map_err(|error| ConfigError::Together(error.to_string()))
}

/// Bounds how long a topic may be unknown, unless the user does: that is over, and noticed by librdkafka, which looks
/// each second, before a record times out, or an unknown topic would look like a broker that does not answer.
fn bound_propagation(config: &mut ClientConfig, timeout_ms: u128) {
    let key = "topic.metadata.propagation.max.ms";
    if config.get(key).is_none() {
        config.set(key, (timeout_ms.saturating_sub(1_000) / 2).min(3_000).to_string());
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
