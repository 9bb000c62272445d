//! What a module's calls take of the processors. One that takes much runs behind the others, at a lower priority, so that
//! neither its neighbours nor the host wait for it; on a machine that has time left it is as fast as they are.

use std::{
    cell::RefCell,
    sync::Mutex,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::host::locked;

/// What was taken fades by a factor of e in this time.
const FADES: Duration = Duration::from_secs(1);
/// More of that than this is much: a tenth of a processor for good, or all of one for a tenth of a second.
const MUCH: Duration = Duration::from_millis(100);

/// What a module's calls have taken lately.
pub(crate) struct Usage(Mutex<Taken>);

struct Taken {
    /// Faded up to `at`.
    seconds: f64,
    at: Instant,
}

impl Usage {
    /// Nothing yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self(Mutex::new(Taken { seconds: 0.0, at: now }))
    }

    /// Adds what a call took, or a part of it.
    pub(crate) fn add(&self, took: Duration, now: Instant) {
        let mut taken = locked(&self.0);
        taken.fade(now);
        taken.seconds += took.as_secs_f64();
    }

    /// Whether its calls are to run behind those of others.
    pub(crate) fn is_much(&self, now: Instant) -> bool {
        let mut taken = locked(&self.0);
        taken.fade(now);
        taken.seconds > MUCH.as_secs_f64()
    }
}

impl Taken {
    fn fade(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.seconds *= (-passed.as_secs_f64() / FADES.as_secs_f64()).exp();
        self.at = self.at.max(now);
    }
}

/// What this thread's calls take of the processors. To ask the kernel for it takes as long as a small guest does: until they
/// come to [`Meter::MOST`] together, calls count by the clock on the wall.
#[derive(Default)]
struct Meter {
    /// What the thread had taken when the kernel was asked last.
    asked: Duration,
    /// What its calls were taken to have taken since.
    since: Duration,
}

thread_local! {
    static METER: RefCell<Meter> = RefCell::default();
}

impl Meter {
    const MOST: Duration = Duration::from_millis(1);

    /// What a call took that took this long; `of_thread` is what the thread has taken, its queue's handling with it.
    fn took(&mut self, long: Duration, of_thread: impl FnOnce() -> Duration) -> Duration {
        if self.since + long < Self::MOST {
            self.since += long;
            return long;
        }
        let now = of_thread();
        let took = now.saturating_sub(self.asked + self.since).min(long);
        *self = Self { asked: now, since: Duration::ZERO };
        took
    }
}

/// What a call took of the processors that has just ended on this thread, and took this long.
pub(crate) fn of_call(long: Duration) -> Duration {
    let of_thread =
        || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    METER.with_borrow_mut(|meter| meter.took(long, of_thread))
}

/// How much less of a processor a thread gets whose work may wait (nice's scale, to 19).
#[derive(Clone, Copy)]
pub(crate) enum Behind {
    /// It makes machine code, or checks it.
    Loads = 10,
    /// It calls a guest that takes much.
    Calls = 15,
}

/// Has this thread run behind the others, to its end. Elsewhere than on Linux that would be the whole process.
pub(crate) fn run_behind(behind: Behind) {
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::setpriority_process(None, behind as i32)
    {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_takes_much_is_behind_until_that_has_faded() {
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        let usage = Usage::new(begun);
        assert!(!usage.is_much(begun));
        // A call of a millisecond, twenty a second: a fiftieth of a processor.
        for call in 0..200_u64 {
            usage.add(Duration::from_millis(1), after(50 * call));
            assert!(!usage.is_much(after(50 * call)));
        }
        let usage = Usage::new(begun);
        usage.add(Duration::from_millis(300), begun);
        assert!(usage.is_much(begun) && usage.is_much(after(1_000)));
        assert!(!usage.is_much(after(1_200)));
        // Steadily: calls of ten milliseconds, twenty a second.
        let usage = Usage::new(begun);
        let much = |call: u64| {
            usage.add(Duration::from_millis(10), after(50 * call));
            usage.is_much(after(50 * call))
        };
        assert!(!much(0));
        assert!((1..100_u64).map(much).skip(40).all(|much| much));
    }

    #[test]
    fn short_calls_take_what_the_clock_says_and_long_ones_what_the_kernel_says() {
        const fn us(us: u64) -> Duration {
            Duration::from_micros(us)
        }
        let mut meter = Meter::default();
        let unasked = || unreachable!("the kernel is not asked");
        assert_eq!(meter.took(us(400), unasked), us(400));
        assert_eq!(meter.took(us(500), unasked), us(500));
        // It was kept from the processor for most of its time.
        assert_eq!(meter.took(us(50_000), || us(2_900)), us(2_000));
        assert_eq!(meter.took(us(999), unasked), us(999));
        // The thread computed for others meanwhile.
        assert_eq!(meter.took(us(1_000), || us(90_000)), us(1_000));
        // The short calls before it waited for the processor.
        assert_eq!(meter.took(us(900), unasked), us(900));
        assert_eq!(meter.took(us(2_000), || us(90_100)), us(0));
    }

    #[test]
    fn a_call_takes_what_it_computes() {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {}
        let computed = of_call(begun.elapsed());
        assert!(computed > Duration::ZERO && computed <= begun.elapsed());
        thread::sleep(Duration::from_millis(20));
        assert!(of_call(Duration::from_millis(20)) < Duration::from_millis(20));
    }
}
