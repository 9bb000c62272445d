//! Deletes, now and then and in bounded batches, what is over: finished tasks, and early messages that nobody asked
//! for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wasaga_store::{Store, StoreError};

const EVERY: Duration = Duration::from_secs(30);
const BATCH: i64 = 1000;

/// Runs until it is stopped.
pub(super) async fn run(store: Store, retention: Duration, stop: CancellationToken) {
    let clean = async {
        loop {
            if let Err(error) = clean(&store, retention).await {
                tracing::debug!(%error, "cleaning up is put off");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(clean).await;
}

async fn clean(store: &Store, retention: Duration) -> Result<(), StoreError> {
    while store.task_in_clean(retention, BATCH).await? == BATCH as u64 {}
    while store.early_replies_clean(BATCH).await? == BATCH as u64 {}
    Ok(())
}
