//! Where looking for waiting tasks goes on: never past what is still to appear. So of one key, a task is known before one
//! that was stored after its commit.

use std::time::{Duration, Instant};

use wasaga_domain::ids::TaskId;
use wasaga_store::{Store, StoreError, lanes::Flow, settled::Settled};

use crate::breaks::broken;

/// How often it is asked what is settled.
const RISES: Duration = Duration::from_secs(1);
/// How often everything is looked at: what somebody made wait again by hand is found so.
const EVERYTHING: Duration = Duration::from_mins(1);

/// Where looking for tasks goes on.
#[derive(Debug)]
pub(super) struct Look {
    settled: Settled,
    rises: Instant,
    /// Up to here all was looked at when it was settled already.
    position: TaskId,
    begun: Instant,
}

impl Look {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { settled: Settled::default(), rises: now, position: TaskId(0), begun: now }
    }

    /// The next look is from the first task on.
    pub(super) fn begin(&mut self) {
        (self.position, self.begun) = (TaskId(0), Instant::now());
    }

    /// After which id to look for tasks of this flow, which is the same as long as this lives.
    pub(super) async fn from(
        &mut self,
        store: &Store,
        flow: Flow,
        goes_on: bool,
    ) -> Result<TaskId, StoreError> {
        let now = Instant::now();
        if now >= self.rises {
            self.settled = store.tasks_settled(flow, self.settled.clone()).await?;
            self.rises = now + RISES;
            self.position = self.position.min(TaskId(self.settled.up_to()));
        }
        if !goes_on && now >= self.begun + EVERYTHING {
            self.begin();
        }
        Ok(self.position)
    }

    /// Tasks were looked at up to this one, or all there are. After which id the look goes on: what is past the settled ones
    /// has to be seen in one statement, or between two of them an earlier one may appear, and a later one of its key.
    pub(super) fn reached(&mut self, last: Option<TaskId>) -> TaskId {
        let settled = TaskId(self.settled.up_to());
        let seen = match last {
            Some(last) if broken("record-order") => last,
            Some(last) => last.min(settled),
            None => settled,
        };
        self.position = self.position.max(seen);
        self.position
    }
}
