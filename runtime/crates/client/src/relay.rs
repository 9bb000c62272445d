//! The relay as a library: without a host, under a lease of its own.

use std::{process, sync::Arc};

use tokio::sync::Notify;
use wasaga_kafka::{BrokerHealth, ClientOptions, ConfigError, RelayHandle, RelayOptions};
use wasaga_store::{Outbox, StoreError, lease::HostLease};

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The client knows no broker.
    #[error("the client has no broker: give it one by with_kafka")]
    NoBroker,
    /// The broker's options can't be had.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The outbox does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running relay. Dropped without [`Self::stop`], it goes on until its runtime ends.
pub struct Relay {
    relay: RelayHandle,
    lease: HostLease,
}

impl Relay {
    pub(crate) async fn start(
        outbox: Arc<dyn Outbox>,
        kafka: &ClientOptions,
        options: RelayOptions,
        wake: Arc<Notify>,
        health: BrokerHealth,
    ) -> Result<Self, RelayError> {
        let (name, version) = (format!("relay/{}", process::id()), env!("CARGO_PKG_VERSION"));
        let lease = HostLease::start(outbox.clone(), name, version, options.lease).await?;
        match wasaga_kafka::Relay::start(outbox, kafka, options, lease.host(), wake, health) {
            Ok(relay) => Ok(Self { relay, lease }),
            Err(error) => {
                lease.stop().await;
                Err(error.into())
            }
        }
    }

    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        self.relay.is_running() && self.lease.is_running()
    }

    /// Takes nothing more, waits until the broker has what was handed to it, marks it and gives the lane back: another
    /// relay goes on at once. Ends within `stop_within` and a few seconds.
    pub async fn stop(self) {
        self.relay.stop().await;
        self.lease.stop().await;
    }
}
