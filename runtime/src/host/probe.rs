//! What /readyz tells.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;
use wasaga_api::ports::{Check, Plugins, Probe};
use wasaga_domain::ports::CatalogSource;
use wasaga_kafka::{BrokerHealth, BrokerState};
use wasaga_store::Store;

use super::sagas::HostSagas;
use crate::config::Brokers;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at what the host needs.
pub(super) struct HostProbe {
    store: Store,
    sagas: Arc<HostSagas>,
    brokers: Brokers,
    broker: BrokerHealth,
}

impl HostProbe {
    pub(super) fn new(
        store: Store,
        sagas: Arc<HostSagas>,
        brokers: Brokers,
        broker: BrokerHealth,
    ) -> Self {
        Self { store, sagas, brokers, broker }
    }

    async fn database(&self) -> Check {
        let reason = match timeout(PATIENCE, self.store.ping()).await {
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => Some(error.to_string()),
            Ok(Ok(())) if !self.sagas.runs() => {
                Some("it answers, and the host is not set up on it yet".into())
            }
            Ok(Ok(())) => None,
        };
        Check { name: "database", ready: reason.is_none(), reason }
    }

    fn broker(&self) -> Check {
        let BrokerState { connected_since, last_error } = self.broker.state();
        let (ready, reason) = match (self.brokers, connected_since) {
            (Brokers::Off, _) => {
                (true, Some("kafka.enabled is false: messages wait in the outbox".into()))
            }
            (_, Some(_)) => (true, None),
            (_, None) => (false, last_error.or(Some("not connected yet".into()))),
        };
        Check { name: "broker", ready, reason }
    }

    fn plugins(&self) -> Check {
        let rejected = self.sagas.rejections();
        let reason = match (self.sagas.has_plugins(), rejected.first()) {
            (false, _) => Some("not loaded yet".into()),
            (true, Some(first)) => Some(format!(
                "{} rejected, as {}: {} (GET /api/v1/plugins lists them)",
                rejected.len(),
                first.source,
                first.reason
            )),
            (true, None) => {
                let none = self.sagas.catalog().plugins.is_empty();
                none.then(|| "there are none: put a .wasm into the plugin directory".into())
            }
        };
        // A rejected plugin does not stop the others, nor its own older version.
        Check { name: "plugins", ready: self.sagas.has_plugins(), reason }
    }
}

#[async_trait]
impl Probe for HostProbe {
    async fn check(&self) -> Vec<Check> {
        vec![self.database().await, self.broker(), self.plugins()]
    }
}
