//! Which broker the host talks to.

use anyhow::Context;
use wasaga_kafka::{ClientOptions, DevBroker};

use crate::config::{Brokers, Config, ConfigError};

/// A broker, and the checked options for its clients.
pub(super) struct Broker {
    pub options: ClientOptions,
    /// Ends with this value.
    pub embedded: Option<DevBroker>,
}

/// The configured broker; nothing where Kafka is off.
pub(super) fn broker(config: &Config) -> anyhow::Result<Option<Broker>> {
    match config.kafka.broker() {
        Brokers::Off => Ok(None),
        Brokers::Named => {
            let options = client_options(config, &config.kafka.brokers)?;
            Ok(Some(Broker { options, embedded: None }))
        }
        Brokers::Embedded => {
            let embedded = DevBroker::start().context("the embedded broker does not start")?;
            tracing::warn!(
                "kafka: the embedded broker is at {}: in memory, for development",
                embedded.bootstrap()
            );
            let options = client_options(&prompt(config), embedded.bootstrap())?;
            Ok(Some(Broker { options, embedded: Some(embedded) }))
        }
    }
}

/// The embedded broker answers a fetch not when a record comes, but when the wait is over: it is made short.
fn prompt(config: &Config) -> Config {
    let mut config = config.clone();
    let wait = ("fetch.wait.max.ms".to_owned(), "10".to_owned());
    if !config.kafka.properties.0.contains_key(&wait.0) {
        config.kafka.consumer.0.entry(wait.0).or_insert(wait.1);
    }
    config
}

/// librdkafka's options for clients of these brokers: whatever a run would refuse is refused.
pub(crate) fn client_options(config: &Config, brokers: &str) -> Result<ClientOptions, ConfigError> {
    if brokers.trim().is_empty() {
        return Err(ConfigError::new(
            "kafka.brokers is missing: set it, or the environment variable KAFKA_BROKERS, as host:9092; for \
             development set kafka.embedded = true; to go without, kafka.enabled = false",
        ));
    }
    let mut properties = config.kafka.properties(brokers)?;
    let session = ["session.timeout.ms", "consumer.session.timeout.ms"];
    if config.kafka.broker() == Brokers::Embedded
        && !session.iter().any(|name| properties.contains_key(*name))
    {
        // The embedded broker's groups take as long as that whenever they form anew.
        properties.insert(session[1].into(), "6000".into());
    }
    let options =
        ClientOptions::new(properties).map_err(|error| ConfigError::new(error.to_string()))?;
    let options = match config.kafka.oauth.source()? {
        Some(tokens) => options.with_tokens(tokens),
        None => options,
    };
    let within = config.publisher().within;
    options
        .check(config.engine.lease(), within)
        .map_err(|error| ConfigError::new(error.to_string()))?;
    Ok(options)
}
