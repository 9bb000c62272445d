//! Waiting for sagas' ends. Whoever ends a saga in this process tells it here; for what other hosts end, one poller
//! asks for all that are waited for at once, as long as there are any.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use wasaga_domain::ids::SagaId;

use crate::ports::Sagas;

/// How often to ask for ends that nobody told.
const POLL: Duration = Duration::from_millis(250);

/// How many sagas to ask for at once.
const BATCH: usize = 1000;

/// Who waits for which saga's end.
pub struct Ends {
    sagas: Arc<dyn Sagas>,
    stop: CancellationToken,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    /// A sender is dropped when its saga has ended.
    sagas: HashMap<SagaId, watch::Sender<()>>,
    polled: bool,
}

impl Ends {
    /// Nobody waits yet, and nobody any more when `stop` is cancelled.
    pub fn new(sagas: Arc<dyn Sagas>, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { sagas, stop, waits: Mutex::default() })
    }

    /// The saga has ended, or asks for an operator.
    pub fn tell(&self, saga: SagaId) {
        self.waits().sagas.remove(&saga);
    }

    /// Returns when the saga has ended, asks for an operator, or the time is up.
    pub(crate) async fn wait(self: &Arc<Self>, saga: SagaId, within: Duration) {
        let mut end = self.subscribe(saga);
        let ended = async {
            // It may have ended before this wait began.
            if self.sagas.settled(&[saga]).await.is_ok_and(|settled| !settled.is_empty()) {
                return;
            }
            tokio::select! {
                _ = end.changed() => {}
                () = self.stop.cancelled() => {}
            }
        };
        let _ = timeout(within, ended).await;
    }

    fn subscribe(self: &Arc<Self>, saga: SagaId) -> watch::Receiver<()> {
        let mut waits = self.waits();
        if !std::mem::replace(&mut waits.polled, true) {
            tokio::spawn(Arc::clone(self).poll());
        }
        waits.sagas.entry(saga).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    async fn poll(self: Arc<Self>) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let Some(waited) = self.waited() else { return };
            for sagas in waited.chunks(BATCH) {
                match self.sagas.settled(sagas).await {
                    Ok(settled) => settled.into_iter().for_each(|saga| self.tell(saga)),
                    Err(error) => tracing::debug!(?error, "ends were not asked for"),
                }
            }
        }
    }

    /// The sagas that somebody still waits for; where there are none, the poller ends.
    fn waited(&self) -> Option<Vec<SagaId>> {
        let mut waits = self.waits();
        waits.sagas.retain(|_, ended| ended.receiver_count() > 0);
        waits.polled = !waits.sagas.is_empty();
        waits.polled.then(|| waits.sagas.keys().copied().collect())
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
