//! What is measured by asking the database now and then, whoever asks for /metrics and however often.

use std::time::{Duration, Instant};

use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::sleep;
use wasaga_store::{Store, saga_read::QueueDepths};

/// How often queues are counted; less often where that takes long, as in a backlog: then most of the time is left to others.
const EVERY: Duration = Duration::from_secs(5);
const RARELY: Duration = Duration::from_mins(1);
const PAUSES: u32 = 50;

/// Counts until it is dropped.
pub(super) async fn keep(store: Store, metrics: PrometheusHandle) {
    loop {
        let begun = Instant::now();
        metrics.run_upkeep();
        match store.queue_depths().await {
            Ok(depths) => set(depths),
            Err(error) => tracing::debug!(%error, "queues were not counted"),
        }
        if let Ok(count) = store.sagas_needing_attention().await {
            gauge!("wasaga_sagas_needing_attention").set(count as f64);
        }
        if let Ok(oldest) = store.sagas_ended_oldest().await {
            gauge!("wasaga_sagas_ended_oldest_seconds")
                .set(oldest.unwrap_or_default().as_secs_f64());
        }
        sleep((begun.elapsed() * PAUSES).clamp(EVERY, RARELY)).await;
    }
}

fn set(depths: QueueDepths) {
    let QueueDepths { task_in, task_out, dead_letter_in, dead_letter_out, .. } = depths;
    let QueueDepths { sagas_leased, sagas_ready, sagas_timed, .. } = depths;
    for (queue, depth) in [
        ("task_in", task_in),
        ("task_out", task_out),
        ("sagas_leased", sagas_leased),
        ("sagas_ready", sagas_ready),
        ("sagas_timed", sagas_timed),
    ] {
        gauge!("wasaga_queue_depth", "queue" => queue).set(depth as f64);
    }
    for (flow, open) in [("in", dead_letter_in), ("out", dead_letter_out)] {
        gauge!("wasaga_dead_letters_open", "flow" => flow).set(open as f64);
    }
}
