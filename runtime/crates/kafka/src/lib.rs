//! Everything that speaks the Kafka protocol: the [`consumer`] (record -> in task), the [`relay`] (outbox -> broker) and
//! the [`dev_broker`]. Nothing else knows rdkafka. No message is understood here: what a record means is decided by
//! whoever handles the task.

pub mod config;
pub mod consumer;
pub mod dev_broker;
pub mod health;
mod oauth;
pub mod relay;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{ClientOptions, ConfigError};
pub use consumer::{Consumer, ConsumerHandle, ConsumerOptions};
pub use dev_broker::DevBroker;
pub use health::{BrokerHealth, BrokerState};
pub use oauth::TokenSource;
pub use relay::{Publisher, PublisherOptions, Relay, RelayHandle, RelayOptions};
