//! Which occurrences of a schedule are due: a pure function of its times.

use std::{iter::successors, time::Duration};

use wasaga_domain::{clock::UnixMillis, manifest::Misfire, schedule::Schedule};

/// How many occurrences that nobody starts are counted one by one.
const COUNTED: usize = 10_000;

/// What to do about a schedule now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Occurrences to start, in order.
    pub starts: Vec<UnixMillis>,
    /// How many are passed over; no more than 10,000 are counted.
    pub missed: usize,
    /// The first occurrence after all of these.
    pub next: UnixMillis,
}

/// How misfires are told from what is due, and how much is done at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// An occurrence is missed when it is later than this.
    pub tolerance: Duration,
    /// Starts at once.
    pub batch: usize,
}

/// What to do `now` about the occurrences not before `from`.
pub fn due(schedule: &Schedule, from: UnixMillis, now: UnixMillis, bounds: Bounds) -> Due {
    let first = schedule.next(UnixMillis(from.0 - 1));
    let punctual = UnixMillis(now.0.saturating_sub(bounds.tolerance.as_millis() as i64));
    let last_missed = schedule.last(punctual).filter(|last| *last >= first);
    let (mut starts, mut missed, mut next) = (Vec::new(), 0, first);
    if let Some(last) = last_missed
        && schedule.misfire() != Misfire::All
    {
        missed = successors(Some(first), |at| Some(schedule.next(*at)))
            .take_while(|at| *at < last)
            .take(COUNTED)
            .count();
        match schedule.misfire() {
            Misfire::Once => starts.push(last),
            Misfire::Skip | Misfire::All => missed += 1,
        }
        next = schedule.next(last);
    }
    while next <= now && starts.len() < bounds.batch {
        starts.push(next);
        next = schedule.next(next);
    }
    Due { starts, missed, next }
}
