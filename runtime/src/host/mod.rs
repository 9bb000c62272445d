//! A running host: its parts in the order in which they start, and stopped in the order in which work flows, so that
//! what one part still hands on finds the next one at work.

mod broker;
mod gauges;
mod letters;
mod messages;
mod parts;
mod plugins;
mod probe;
mod sagas;
pub(crate) mod signals;
pub(crate) mod startup;

use std::{
    io::{Error, ErrorKind},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use wasaga_api::{ApiState, Ends, app, serve};
use wasaga_kafka::BrokerHealth;
use wasaga_store::Store;

pub(crate) use broker::client_options;

use crate::config::{Config, Server};
use messages::HostMessages;
use parts::Parts;
use probe::HostProbe;
use sagas::HostSagas;
use signals::Signals;

/// Bounds of the histograms, in seconds: from a guest's call to a reply that takes a minute.
const BUCKETS: [f64; 16] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    15.0, 60.0,
];

/// Runs a host until it is told to stop, or cannot start.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let metrics = install_metrics()?;
    let store =
        Store::new(config.database.options()?).map_err(|error| anyhow!("database.url: {error}"))?;
    let codecs = Arc::new(config.codecs()?);
    let listener = bind(&config.server).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let (sagas, health) = (Arc::new(HostSagas::new(store.clone())), BrokerHealth::default());
    let messages = Arc::new(HostMessages::new(store.clone()));
    let probe = HostProbe::new(store.clone(), sagas.clone(), config.kafka.broker(), health.clone());
    let ends = Ends::new(sagas.clone(), stop.clone());
    let api = ApiState {
        sagas: sagas.clone(),
        messages: messages.clone(),
        letters: sagas.clone(),
        values: codecs.clone(),
        ends: ends.clone(),
        plugins: sagas.clone(),
        probe: Arc::new(probe),
        metrics: metrics.clone(),
        body_limit: config.server.body_limit,
    };
    // It answers from the first moment, so that /healthz and /readyz tell what the host waits for.
    let serving = tokio::spawn(serve(listener, app(api), stop.clone()));
    tracing::info!("listening on http://{address}");

    let (ended, mut ended_here) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(saga) = ended_here.recv().await {
            ends.tell(saga);
        }
    });
    let started = tokio::select! {
        started = Parts::start(&config, &store, codecs, (&sagas, &messages), &health, metrics, ended) => started,
        () = signals.stop() => return Ok(()),
    };
    let parts = started?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "wasaga is up: http://{address}");
    let dead = tokio::select! {
        () = signals.stop() => None,
        part = parts.dead() => Some(part),
    };
    if let Some(part) = dead {
        tracing::error!(part, "a part of this host has died: stopping");
    } else {
        tracing::info!("stopping; a second signal ends at once");
    }
    let within = config.engine.stop_timeout();
    tokio::select! {
        stopped = timeout(within, shut_down(stop, serving, parts, &messages, &store)) => {
            stopped.map_err(|_| anyhow!(
                "the stop took longer than engine.stop_timeout_ms = {}: what was under way is taken up again \
                 when its lease ends", within.as_millis()
            ))?;
            tracing::info!("stopped");
            dead.map_or(Ok(()), |part| Err(anyhow!("the {part} of this host has died: the log says why")))
        }
        () = signals.stop() => Err(anyhow!("ended by a second signal: what was under way is taken up again when its lease ends")),
    }
}

async fn shut_down(
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    parts: Parts,
    messages: &HostMessages,
    store: &Store,
) {
    stop.cancel();
    // Connections that stay open without a request must not hold up the rest.
    if timeout(Duration::from_secs(3), serving).await.is_err() {
        tracing::warn!("some requests were not finished");
    }
    messages.stop().await;
    parts.stop().await;
    store.close().await;
}

async fn bind(server: &Server) -> anyhow::Result<TcpListener> {
    let Server { host, port, .. } = server;
    TcpListener::bind((host.as_str(), *port)).await.map_err(|error: Error| {
        let mend = match error.kind() {
            ErrorKind::AddrInUse => "stop whoever has it, or set server.port (SERVER_PORT)",
            ErrorKind::PermissionDenied => "set server.port (SERVER_PORT) to 1024 or more",
            _ => "set server.host to an address of this machine",
        };
        anyhow!("can't listen on {host}:{port}: {error}: {mend}")
    })
}

fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let seconds = Matcher::Suffix("_seconds".into());
    PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics can't be recorded")
}
