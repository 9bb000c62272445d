//! Deletes, now and then and in bounded batches, what is over: finished tasks, dead letters that have ended, keys past their
//! horizon, and early messages that nobody asked for.

use std::time::Duration;

use metrics::counter;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wasaga_domain::dead_letter::LetterFlow;
use wasaga_store::{Store, StoreError, task_in::Expired};

use super::InboxOptions;

const EVERY: Duration = Duration::from_secs(30);
const BATCH: i64 = 1000;

/// Runs until it is stopped.
pub(super) async fn run(store: Store, options: InboxOptions, stop: CancellationToken) {
    let clean = async {
        loop {
            clean(&store, &options).await;
            tokio::time::sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(clean).await;
}

async fn clean(store: &Store, options: &InboxOptions) {
    let InboxOptions { retention, letter_retention, .. } = *options;
    all("finished tasks", || store.task_in_clean(retention, BATCH)).await;
    for flow in [LetterFlow::In, LetterFlow::Out] {
        all("dead letters", || store.dead_letters_clean(flow, letter_retention, BATCH)).await;
    }
    all("idempotency keys", || store.horizons_forget(BATCH)).await;
    all("early messages", || expire(store)).await;
}

/// Batch by batch, until one is not full.
async fn all<F: Future<Output = Result<u64, StoreError>>>(what: &str, batch: impl Fn() -> F) {
    loop {
        match batch().await {
            Ok(deleted) if deleted >= BATCH.cast_unsigned() => {}
            Ok(_) => return,
            Err(error) => return warn!(%error, what, "the inbox: cleaning up is put off"),
        }
    }
}

/// A message that nobody waited for is no fault, for it may have come twice; but it may also be one that was missed.
async fn expire(store: &Store) -> Result<u64, StoreError> {
    let expired = store.early_replies_clean(BATCH).await?;
    for Expired { topic, messages, .. } in &expired {
        info!(topic, messages, "messages that nobody waited for have expired");
        counter!("wasaga_early_replies_expired_total", "topic" => topic.clone())
            .increment(messages.cast_unsigned());
    }
    Ok(expired.iter().map(|expired| expired.correlations.cast_unsigned()).sum())
}
