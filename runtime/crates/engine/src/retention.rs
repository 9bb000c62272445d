//! Retention: ended sagas leave, some at a time.
//!
//! Every host asks, and the database lets one of them remove a batch when it is time for one, so that a host that dies
//! leaves nothing to be taken over.

use std::time::Duration;

use metrics::counter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use wasaga_store::{Store, StoreError, retention::Retirement};

/// When to ask again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// What is kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionOptions {
    /// How ended sagas are removed.
    pub retirement: Retirement,
    /// How long the archive keeps them; absent: for ever.
    pub archive_keep: Option<Duration>,
}

/// Removes ended sagas.
pub struct Retention {
    store: Store,
    options: RetentionOptions,
}

/// A retention that goes on, to be stopped once.
pub struct RetentionHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Retention {
    /// Starts to remove; it goes on until it is stopped.
    pub fn start(store: Store, options: RetentionOptions) -> RetentionHandle {
        let stop = CancellationToken::new();
        let retention = Self { store, options };
        let task = tokio::spawn({
            let stop = stop.clone();
            // A batch that is cut off is done as a whole, or not at all.
            async move {
                stop.run_until_cancelled(retention.run()).await;
            }
        });
        RetentionHandle { stop, task }
    }

    async fn run(self) {
        loop {
            let wait = match self.remove().await {
                Ok(wait) => wait,
                Err(error) => {
                    debug!(%error, "ended sagas stay a little longer");
                    AFTER_ERROR
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Removes a batch; answers with how long to wait for the next.
    async fn remove(&self) -> Result<Duration, StoreError> {
        let Retirement { archive, .. } = self.options.retirement;
        let retired = self.store.sagas_retire(&self.options.retirement).await?;
        let how = if archive { "archived" } else { "dropped" };
        counter!("wasaga_sagas_removed_total", "how" => how).increment(retired.removed.into());
        if let Some(keep) = self.options.archive_keep.filter(|_| retired.is_over) {
            let months = self.store.archive_drop(keep).await?;
            if months > 0 {
                info!(months, "the archive dropped what is too old");
            }
        }
        Ok(retired.wait)
    }
}

impl RetentionHandle {
    /// Whether it still works; a panic has ended it otherwise.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Removes nothing more.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the retention ended before it was stopped");
        }
    }
}
