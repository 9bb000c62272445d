//! Waiting for what is to become true.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// How long anything may take that nothing slows down on purpose. Far more than it takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer; panics, saying for what it waited, when there is none in time.
pub async fn eventually<T>(
    what: impl Display,
    within: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
