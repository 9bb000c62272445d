//! The parts of a host that work, put together.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use wasaga_domain::{
    clock::SystemClock,
    definition::Overrides,
    ids::{HostId, SagaId},
    ports::{CatalogSource, GuestHttp, HttpRecord},
    value_reader::ValueReader,
};
use wasaga_engine::{
    definitions::StoredDefinitions,
    driver::{self, Engine, EngineHandle},
    inbox::{Inbox, InboxHandle, InboxParts},
    retention::{Retention, RetentionHandle},
    schedules::{Schedules, SchedulesHandle},
};
use wasaga_kafka::{
    BrokerHealth, Consumer, ConsumerHandle, DevBroker, Publisher, Relay, RelayHandle,
};
use wasaga_plugin_host::{Options, PluginHost, Watcher};
use wasaga_store::{Store, lease::HostLease};

use super::{
    broker::{Broker, broker},
    gauges,
    messages::HostMessages,
    sagas::HostSagas,
    startup,
};
use crate::config::{Config, ConfigError};

/// Everything that has to be stopped.
pub(super) struct Parts {
    kafka: Option<KafkaParts>,
    schedules: SchedulesHandle,
    retention: Option<RetentionHandle>,
    engine: EngineHandle,
    inbox: InboxHandle,
    watching: (CancellationToken, JoinHandle<()>),
    gauges: JoinHandle<()>,
    lease: HostLease,
}

struct KafkaParts {
    consumer: ConsumerHandle,
    relay: RelayHandle,
    /// Ends with this value.
    embedded: Option<DevBroker>,
}

/// What one part rings for another.
#[derive(Default)]
struct Bells {
    sagas: Arc<Notify>,
    outbox: Arc<Notify>,
    stored: Arc<Notify>,
}

impl Parts {
    /// Starts them in the order in which they need each other; `sagas` has the engine and the plugins as soon as
    /// they are there, `messages` the outbox, and `ends` is told of sagas that end here. The broker may be away.
    pub(super) async fn start(
        config: &Config,
        store: &Store,
        values: Arc<dyn ValueReader>,
        (sagas, messages): (&HostSagas, &HostMessages),
        health: &BrokerHealth,
        metrics: PrometheusHandle,
        ends: mpsc::UnboundedSender<SagaId>,
    ) -> anyhow::Result<Self> {
        let broker = broker(config)?;
        startup::reach(store, &config.database).await?;
        startup::schema(store, &config.database).await?;

        let plugins = plugins(config, store)?;
        let mut watcher = Watcher::new(plugins.clone(), config.plugins.dir.clone());
        watcher.look().await;
        sagas.set_plugins(plugins.clone());

        let (lease, version) = (config.engine.lease(), env!("CARGO_PKG_VERSION"));
        let lease = HostLease::start(store.clone(), host_name(), version, lease).await?;
        let bells = Bells::default();
        let publisher = broker
            .as_ref()
            .map(|broker| publisher(config, store, broker, &bells, health))
            .transpose()?;
        messages.set_started(publisher, bells.outbox.clone());
        let kafka = broker
            .map(|broker| kafka(config, store, broker, &plugins, lease.host(), &bells, health))
            .transpose()?;
        let parts = driver::Parts {
            store: store.clone(),
            executor: plugins.clone(),
            definitions: Arc::new(definitions(&plugins, store, &config.definitions)),
            clock: Arc::new(SystemClock),
            host: lease.host(),
            sagas: bells.sagas.clone(),
            outbox: bells.outbox.clone(),
            ends: Some(ends),
        };
        let (running, engine) = Engine::start_up(parts, config.engine.options());
        let parts = InboxParts {
            store: store.clone(),
            catalog: plugins.clone(),
            executor: plugins.clone(),
            values,
            clock: Arc::new(SystemClock),
            host: lease.host(),
            stored: bells.stored,
            sagas: bells.sagas,
            outbox: bells.outbox,
        };
        let inbox = Inbox::start(parts, config.inbox());
        let schedules =
            Schedules::start(store.clone(), plugins, running.clone(), config.schedules.options());
        let retention =
            config.retention.options().map(|options| Retention::start(store.clone(), options));
        sagas.set_engine(running);

        let stop = CancellationToken::new();
        let poll = Duration::from_millis(config.plugins.poll_ms);
        let watching = tokio::spawn(watcher.run(poll, stop.clone()));
        let gauges = tokio::spawn(gauges::keep(store.clone(), metrics));
        let watching = (stop, watching);
        Ok(Self { kafka, schedules, retention, engine, inbox, watching, gauges, lease })
    }

    /// Returns the name of the first part that a panic has ended: the others can't do its work.
    pub(super) async fn dead(&self) -> &'static str {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            let kafka = self.kafka.as_ref();
            let dead = [
                ("engine", self.engine.is_running()),
                ("inbox", self.inbox.is_running()),
                ("heartbeat", self.lease.is_running()),
                ("consumer", kafka.is_none_or(|kafka| kafka.consumer.is_running())),
                ("relay", kafka.is_none_or(|kafka| kafka.relay.is_running())),
                ("schedules", self.schedules.is_running()),
                ("retention", self.retention.as_ref().is_none_or(RetentionHandle::is_running)),
            ]
            .into_iter()
            .find(|(_, is_running)| !is_running);
            if let Some((name, _)) = dead {
                return name;
            }
        }
    }

    /// Stops them in the order in which work flows: what comes in, what is worked on, what goes out.
    pub(super) async fn stop(self) {
        let Self { kafka, schedules, retention, engine, inbox, watching, gauges, lease } = self;
        let (stop, watching) = watching;
        gauges.abort();
        stop.cancel();
        let (consumer, relay) = match kafka {
            Some(KafkaParts { consumer, relay, embedded }) => {
                (Some(consumer), Some((relay, embedded)))
            }
            None => (None, None),
        };
        if let Some(consumer) = consumer {
            consumer.stop().await;
        }
        schedules.stop().await;
        if let Some(retention) = retention {
            retention.stop().await;
        }
        tokio::join!(engine.stop(), inbox.stop());
        if let Some((relay, embedded)) = relay {
            relay.stop().await;
            drop(embedded);
        }
        // A module that is being compiled is not waited for: it is looked at again by whoever runs next.
        watching.abort();
        lease.stop().await;
    }
}

fn kafka(
    config: &Config,
    store: &Store,
    broker: Broker,
    plugins: &Arc<PluginHost>,
    host: watch::Receiver<Option<HostId>>,
    bells: &Bells,
    health: &BrokerHealth,
) -> anyhow::Result<KafkaParts> {
    let Broker { options, embedded } = broker;
    let (outbox, stored) = (bells.outbox.clone(), bells.stored.clone());
    let relay = Relay::start(store.clone(), &options, config.relay(), host, outbox, health.clone())
        .map_err(|error| ConfigError::new(error.to_string()))?;
    let (catalog, reading) = (plugins.clone(), config.consumer());
    let consumer =
        Consumer::start(store.clone(), &options, catalog, reading, stored, health.clone())?;
    Ok(KafkaParts { consumer, relay, embedded })
}

fn publisher(
    config: &Config,
    store: &Store,
    broker: &Broker,
    bells: &Bells,
    health: &BrokerHealth,
) -> Result<Publisher, ConfigError> {
    let (options, wake) = (config.publisher(), bells.outbox.clone());
    Publisher::new(store.clone(), &broker.options, options, wake, health.clone())
        .map_err(|error| ConfigError::new(error.to_string()))
}

fn plugins(config: &Config, store: &Store) -> anyhow::Result<Arc<PluginHost>> {
    let store = Arc::new(store.clone());
    let http: Arc<dyn GuestHttp> = Arc::new(config.plugins.egress()?);
    let (options, grants) =
        (config.plugins.options(&config.definitions), config.plugins.granted()?);
    let names = &config.plugins.record_http;
    let recorded =
        (!names.is_empty()).then(|| (names.clone(), store.clone() as Arc<dyn HttpRecord>));
    let options = Options { grants, http: Some(http), recorded, ..options };
    PluginHost::new(options, Some(store.clone()), Some(store), Arc::new(SystemClock))
        .map_err(|error| anyhow!("plugins: {error}"))
}

fn definitions(
    plugins: &Arc<PluginHost>,
    store: &Store,
    overrides: &Overrides,
) -> StoredDefinitions {
    let catalog: Arc<dyn CatalogSource> = plugins.clone();
    StoredDefinitions::new(catalog, store.clone(), overrides.clone())
}

/// This process, for people who read `wasaga.hosts`.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if name.trim().is_empty() { "host" } else { name.trim() };
    format!("{name}/{}", std::process::id())
}
