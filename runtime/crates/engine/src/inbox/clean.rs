//! Deletes, now and then and in bounded batches, what is over: finished tasks, dead letters that have ended, and early messages
//! that nobody asked for.

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
            if let Err(error) = clean(&store, &options).await {
                warn!(%error, "the inbox: cleaning up is put off");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(clean).await;
}

async fn clean(store: &Store, options: &InboxOptions) -> Result<(), StoreError> {
    while store.task_in_clean(options.retention, BATCH).await? == BATCH as u64 {}
    for flow in [LetterFlow::In, LetterFlow::Out] {
        let retention = options.letter_retention;
        while store.dead_letters_clean(flow, retention, BATCH).await? == BATCH as u64 {}
    }
    while expire(store).await? == BATCH {}
    Ok(())
}

/// A message that nobody waited for is no fault, for it may have come twice; but it may also be one that was missed.
async fn expire(store: &Store) -> Result<i64, StoreError> {
    let expired = store.early_replies_clean(BATCH).await?;
    for Expired { topic, messages, .. } in &expired {
        info!(topic, messages, "messages that nobody waited for have expired");
        counter!("wasaga_early_replies_expired_total", "topic" => topic.clone())
            .increment(messages.cast_unsigned());
    }
    Ok(expired.iter().map(|expired| expired.correlations).sum())
}
