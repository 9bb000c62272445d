//! The policies of a step: when it is tried again, and how it is undone.

use std::time::Duration;

use serde::Serialize;

use super::millis;

/// When to try again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Once, and no more.
    Never {},
    /// After the same delay each time.
    Fixed {
        /// Milliseconds between attempts.
        delay_ms: u64,
        /// Attempts in all, the first included; absent: without end.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_attempts: Option<u32>,
    },
    /// After a delay that grows.
    Exponential {
        /// Milliseconds before the second attempt.
        initial_ms: u64,
        /// Each delay is the last one's times this; at least 1.
        multiplier: f64,
        /// Milliseconds; no delay is longer.
        max_delay_ms: u64,
        /// Attempts in all, the first included; absent: without end.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_attempts: Option<u32>,
        /// 0 to 1: the part of the delay that chance takes away.
        jitter: f64,
    },
}

impl Retry {
    /// Once, and no more.
    pub fn never() -> Self {
        Self::Never {}
    }

    /// After the same delay each time; without end, unless [`attempts`](Self::attempts) says otherwise.
    pub fn fixed(delay: Duration) -> Self {
        Self::Fixed { delay_ms: millis(delay), max_attempts: None }
    }

    /// After `initial`, then each time `multiplier` times as long, at most `longest`; without end, unless
    /// [`attempts`](Self::attempts) says otherwise.
    pub fn exponential(initial: Duration, multiplier: f64, longest: Duration) -> Self {
        let (initial_ms, max_delay_ms) = (millis(initial), millis(longest));
        Self::Exponential { initial_ms, multiplier, max_delay_ms, max_attempts: None, jitter: 0.0 }
    }

    /// At most this many attempts, the first included.
    ///
    /// # Panics
    /// On [`never`](Self::never), which is one attempt.
    pub fn attempts(mut self, attempts: u32) -> Self {
        match &mut self {
            Self::Never {} => {
                panic!("a step that is never retried has one attempt, not {attempts}")
            }
            Self::Fixed { max_attempts, .. } | Self::Exponential { max_attempts, .. } => {
                *max_attempts = Some(attempts);
            }
        }
        self
    }

    /// The part of each delay, 0 to 1, that chance takes away, so that retries spread out.
    ///
    /// # Panics
    /// On anything but [`exponential`](Self::exponential).
    pub fn jitter(mut self, part: f64) -> Self {
        match &mut self {
            Self::Exponential { jitter, .. } => *jitter = part,
            other => panic!("only an exponential retry has jitter, not {other:?}"),
        }
        self
    }
}

/// How a step is undone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compensation {
    /// There is nothing to undo.
    None,
    /// By `compensate`.
    Undo(Undo),
}

/// The policies of an undo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Undo {
    retry: Retry,
    timeout_ms: u64,
    on_failure: OnUndoFailure,
}

impl Undo {
    /// 30 seconds an attempt; five attempts, the second after 200 ms and each pause twice the last one; then an
    /// operator is asked.
    pub fn new() -> Self {
        let (initial, longest) = (Duration::from_millis(200), Duration::from_secs(10));
        Self {
            retry: Retry::exponential(initial, 2.0, longest).attempts(5),
            timeout_ms: 30_000,
            on_failure: OnUndoFailure::NeedsAttention,
        }
    }

    /// When to try again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The bound of an attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = millis(timeout);
        self
    }

    /// When the attempts are exhausted, go on with the other undos; the operator is asked at the saga's end.
    pub fn go_on(mut self) -> Self {
        self.on_failure = OnUndoFailure::GoOn;
        self
    }
}

impl Default for Undo {
    fn default() -> Self {
        Self::new()
    }
}

/// What follows an undo that gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUndoFailure {
    /// The saga stops there and asks for an operator.
    NeedsAttention,
    /// The other undos go on; the saga asks for an operator at its end.
    GoOn,
}
