//! The host's own lease: one row that beats. While it does, everything the host holds is its own; when it does not,
//! all of that is another's, and the host goes on under a new id. A host lets go before others may take over.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{self, Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wasaga_domain::ids::HostId;

use crate::{Store, StoreError, outbox::Outbox};

/// Where a lease is written.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Registers a new life, whose leases are good for `lease` from now.
    async fn register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError>;

    /// Prolongs the leases to `lease` from now; false when they have ended already.
    async fn beat(&self, host: HostId, lease: Duration) -> Result<bool, StoreError>;

    /// Ends the leases.
    async fn leave(&self, host: HostId) -> Result<(), StoreError>;
}

/// A host's lease, kept alive in the background.
pub struct HostLease {
    host: watch::Receiver<Option<HostId>>,
    stop: CancellationToken,
    beating: JoinHandle<()>,
}

impl HostLease {
    /// Registers a host whose leases are good for `lease` after each beat; beats three times as often.
    pub async fn start(
        leases: impl Leases,
        name: String,
        version: &'static str,
        lease: Duration,
    ) -> Result<Self, StoreError> {
        let asked = Instant::now();
        let first = leases.register(&name, version, lease).await?;
        info!(host = %first, name, "registered");
        let (sender, host) = watch::channel(Some(first));
        let stop = CancellationToken::new();
        let beats = Beats { leases, name, version, lease, sender };
        let beating = tokio::spawn(beats.run(asked, stop.clone()));
        Ok(Self { host, stop, beating })
    }

    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        !self.beating.is_finished()
    }

    /// The id under which the host holds leases now; nothing while it holds none.
    pub fn host(&self) -> watch::Receiver<Option<HostId>> {
        self.host.clone()
    }

    /// Ends the lease: what the host still holds is free for others at once.
    pub async fn stop(self) {
        self.stop.cancel();
        // One that panicked leaves its row until its lease ends.
        let _ = self.beating.await;
    }
}

struct Beats<L> {
    leases: L,
    name: String,
    version: &'static str,
    lease: Duration,
    sender: watch::Sender<Option<HostId>>,
}

impl<L: Leases> Beats<L> {
    async fn run(self, asked: Instant, stop: CancellationToken) {
        stop.run_until_cancelled(self.beat(asked)).await;
        let host = *self.sender.borrow();
        if let Some(host) = host
            && let Err(error) = self.leases.leave(host).await
        {
            warn!(%error, "the host's row stays until its lease ends");
        }
    }

    /// Keeps a lease that was asked for at this time, or gets one under a new id. Lets go of it when what it trusts of
    /// it is over, whatever a beat is waiting for.
    async fn beat(&self, mut asked: Instant) {
        let mut ticks = time::interval(self.lease / 3);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            let held = *self.sender.borrow();
            let Some(host) = held else {
                ticks.tick().await;
                asked = Instant::now();
                let register = self.leases.register(&self.name, self.version, self.lease);
                match self.in_time(register).await {
                    Ok(host) => {
                        info!(%host, "registered again");
                        self.sender.send_replace(Some(host));
                    }
                    Err(error) => warn!(%error, "cannot register"),
                }
                continue;
            };
            let beat = async {
                ticks.tick().await;
                (Instant::now(), self.in_time(self.leases.beat(host, self.lease)).await)
            };
            match timeout_at(asked + self.trusted(), beat).await {
                Ok((at, Ok(true))) => asked = at,
                Ok((_, Ok(false))) => {
                    warn!(%host, "the lease has ended: whatever this host held is another's now");
                    self.sender.send_replace(None);
                    ticks.reset_immediately();
                }
                Ok((_, Err(error))) => warn!(%host, %error, "no heartbeat"),
                Err(_) => {
                    warn!(%host, "no heartbeat for most of the lease: this host lets go of what it holds");
                    self.sender.send_replace(None);
                }
            }
        }
    }

    /// How much of its lease a host counts on. The rest is for what it has to stop then, and for clocks that don't run
    /// at one pace.
    fn trusted(&self) -> Duration {
        self.lease * 9 / 10
    }

    /// What takes longer than the time between two beats is as good as not done.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, String> {
        match time::timeout(self.lease / 3, work).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(_) => Err("Postgres did not answer in time".to_owned()),
        }
    }
}

#[async_trait]
impl Leases for Store {
    async fn register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError> {
        self.hosts_forget().await?;
        self.host_register(name, version, lease).await
    }

    async fn beat(&self, host: HostId, lease: Duration) -> Result<bool, StoreError> {
        self.host_beat(host, lease).await
    }

    async fn leave(&self, host: HostId) -> Result<(), StoreError> {
        self.host_leave(host).await
    }
}

/// Of a relay that runs without a host: it takes no share of sagas and in tasks.
#[async_trait]
impl Leases for Arc<dyn Outbox> {
    async fn register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError> {
        self.relay_register(name, version, lease).await
    }

    async fn beat(&self, host: HostId, lease: Duration) -> Result<bool, StoreError> {
        self.relay_beat(host, lease).await
    }

    async fn leave(&self, host: HostId) -> Result<(), StoreError> {
        self.relay_leave(host).await
    }
}
