//! Where looking for waiting tasks goes on.

use std::time::{Duration, Instant};

use wasaga_domain::ids::TaskId;

/// Ids are given before the commit, so one may show up after a higher one: looks overlap by this much time, and
/// once in a while everything is looked at.
const OVERLAP: Duration = Duration::from_secs(5);
const EVERYTHING: Duration = Duration::from_mins(1);

/// Where looking for tasks goes on.
pub(super) struct Look {
    old: TaskId,
    recent: TaskId,
    last: TaskId,
    rotated: Instant,
    everything: Instant,
}

impl Look {
    pub(super) fn new() -> Self {
        let start = TaskId(0);
        Self {
            old: start,
            recent: start,
            last: start,
            rotated: Instant::now(),
            everything: Instant::now(),
        }
    }

    /// After which id to look.
    pub(super) fn from(&mut self, goes_on: bool) -> TaskId {
        if goes_on {
            return self.last;
        }
        if self.everything.elapsed() >= EVERYTHING {
            *self = Self { last: self.last, ..Self::new() };
        } else if self.rotated.elapsed() >= OVERLAP {
            (self.old, self.recent, self.rotated) = (self.recent, self.last, Instant::now());
        }
        self.old
    }

    /// A task was found.
    pub(super) fn reached(&mut self, id: TaskId) {
        self.last = self.last.max(id);
    }
}
