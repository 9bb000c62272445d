//! From where messages on their way out are looked for: always from the floor on, in one statement. So of one key, a
//! message is known before one whose emit began after its commit.

use std::time::{Duration, Instant};

use wasaga_store::{Store, StoreError, task_out_floor::Floor};

const RISES: Duration = Duration::from_secs(1);
/// How often everything is looked at: what somebody made wait again by hand is found so.
const EVERYTHING: Duration = Duration::from_mins(1);

/// From where to look.
#[derive(Debug)]
pub(super) struct LookOut {
    floor: Floor,
    begun: Instant,
    rises: Instant,
}

impl LookOut {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { floor: Floor::default(), begun: now, rises: now }
    }

    /// After which id to look for messages to these topics, which are the same as long as this lives.
    pub(super) async fn from(
        &mut self,
        store: &Store,
        topics: &[String],
    ) -> Result<i64, StoreError> {
        let now = Instant::now();
        if now >= self.rises {
            if now >= self.begun + EVERYTHING {
                *self = Self::new();
            }
            store.handled_topics_begin().await?;
            self.floor = store.handle_out_floor(self.floor, topics).await?;
            self.rises = now + RISES;
        }
        Ok(self.floor.after())
    }
}
