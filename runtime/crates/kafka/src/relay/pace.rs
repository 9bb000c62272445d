//! How often the outbox is read while nobody tells of messages.

use std::time::Duration;

use tokio::time::Instant;

/// Between two reads while messages come.
const SHORTEST: Duration = Duration::from_millis(5);
/// A message that comes after others have not for a while waits for this part of that while at most.
const PART: u32 = 8;

/// Reads follow each other the more slowly the longer nothing came: where applications are held up for a moment, what they
/// emit after it does not wait for as long again.
pub(super) struct Pace {
    /// When messages came last.
    came: Instant,
    longest: Duration,
}

impl Pace {
    /// As if messages came now; between two reads are at most `longest`.
    pub(super) fn new(now: Instant, longest: Duration) -> Self {
        Self { came: now, longest }
    }

    /// Messages came, or somebody told of some.
    pub(super) fn came(&mut self, now: Instant) {
        self.came = now;
    }

    /// From a read that has ended now to the next.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        (now.saturating_duration_since(self.came) / PART).max(SHORTEST).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_quiet_time_waits_for_a_part_of_it() {
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        let mut pace = Pace::new(begun, Duration::from_millis(500));
        assert_eq!(pace.pause(after(20)), SHORTEST);
        assert_eq!(pace.pause(after(200)), Duration::from_millis(25));
        assert_eq!(pace.pause(after(60_000)), Duration::from_millis(500));
        pace.came(after(60_000));
        assert_eq!(pace.pause(after(60_001)), SHORTEST);
        assert_eq!(
            Pace::new(begun, Duration::from_millis(1)).pause(begun),
            Duration::from_millis(1)
        );
    }
}
