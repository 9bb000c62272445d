//! The host's own lease: one row that beats. While it does, everything the host holds is its own; when it does not,
//! all of that is another's, and the host goes on under a new id.

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wasaga_domain::ids::HostId;
use wasaga_store::{Store, StoreError};

/// A host's lease, kept alive in the background.
pub struct HostLease {
    host: watch::Receiver<Option<HostId>>,
    stop: CancellationToken,
    beating: JoinHandle<()>,
    store: Store,
}

impl HostLease {
    /// Registers a host whose leases are good for `lease` after each beat; beats three times as often.
    pub async fn start(
        store: Store,
        name: String,
        version: &'static str,
        lease: Duration,
    ) -> Result<Self, StoreError> {
        store.hosts_forget().await?;
        let first = store.host_register(&name, version, lease).await?;
        info!(host = %first, name, "registered");
        let (sender, host) = watch::channel(Some(first));
        let stop = CancellationToken::new();
        let beats = Beats { store: store.clone(), name, version, lease, sender };
        let beating = tokio::spawn({
            let stop = stop.clone();
            async move {
                stop.run_until_cancelled(beats.run()).await;
            }
        });
        Ok(Self { host, stop, beating, store })
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
        // Cancelled or panicked, it beats no more.
        let _ = self.beating.await;
        let host = *self.host.borrow();
        if let Some(host) = host
            && let Err(error) = self.store.host_leave(host).await
        {
            warn!(%error, "the host's row stays until its lease ends");
        }
    }
}

struct Beats {
    store: Store,
    name: String,
    version: &'static str,
    lease: Duration,
    sender: watch::Sender<Option<HostId>>,
}

impl Beats {
    async fn run(self) {
        let mut last = time::Instant::now();
        let mut ticks = time::interval(self.lease / 3);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let before = time::Instant::now();
            let host = *self.sender.borrow();
            let beaten = match host {
                Some(host) => self.in_time(self.store.host_beat(host, self.lease)).await,
                None => Ok(false),
            };
            match beaten {
                Ok(true) => last = before,
                Ok(false) => {
                    if let Some(host) = host {
                        warn!(%host, "the lease has ended: whatever this host held is another's now");
                        self.sender.send_replace(None);
                    }
                    let register = self.store.host_register(&self.name, self.version, self.lease);
                    match self.in_time(register).await {
                        Ok(host) => {
                            info!(%host, "registered again");
                            last = before;
                            self.sender.send_replace(Some(host));
                        }
                        Err(error) => warn!(%error, "cannot register"),
                    }
                }
                Err(error) => {
                    warn!(%error, "no heartbeat");
                    // By this host's clock the lease is over: better to hold nothing than to believe so.
                    if host.is_some() && last.elapsed() > self.lease {
                        self.sender.send_replace(None);
                    }
                }
            }
        }
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
