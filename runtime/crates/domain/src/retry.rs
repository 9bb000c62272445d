//! When to try again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often a failed attempt is repeated, and after how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RetryPolicy {
    /// Once, and no more.
    Never {},
    /// After the same delay each time.
    Fixed {
        /// Milliseconds between attempts.
        delay_ms: u64,
        /// Attempts in all, the first included; absent: without end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_attempts: Option<u32>,
        /// 0 to 1: the part of the delay that chance takes away, so that retries spread out.
        #[serde(default)]
        jitter: f64,
    },
}

impl RetryPolicy {
    /// Attempts in all; absent: without end.
    pub fn max_attempts(&self) -> Option<u32> {
        match self {
            Self::Never {} => Some(1),
            Self::Fixed { max_attempts, .. } | Self::Exponential { max_attempts, .. } => {
                *max_attempts
            }
        }
    }

    /// The same without a maximum of attempts; what is tried once only is tried at the policies' longest pace.
    #[must_use]
    pub fn without_end(&self) -> Self {
        match self.clone() {
            Self::Never {} => Self::Fixed { delay_ms: LONGEST_PAUSE_MS, max_attempts: None },
            Self::Fixed { delay_ms, .. } => Self::Fixed { delay_ms, max_attempts: None },
            Self::Exponential { initial_ms, multiplier, max_delay_ms, jitter, .. } => {
                let max_attempts = None;
                Self::Exponential { initial_ms, multiplier, max_delay_ms, max_attempts, jitter }
            }
        }
    }

    /// How long to wait after `failures` failed attempts, or nothing when that was the last one.
    /// `chance` is in 0..1 and decides the jitter; `hint` is the worker's wish, which only lengthens the delay,
    /// and never past the policy's own longest.
    pub fn delay(&self, failures: u32, hint: Option<Duration>, chance: f64) -> Option<Duration> {
        if self.max_attempts().is_some_and(|max| failures >= max) {
            return None;
        }
        let (delay, longest) = match *self {
            Self::Never {} => return None,
            Self::Fixed { delay_ms, .. } => (delay_ms, HINT_CAP_MS.max(delay_ms)),
            Self::Exponential { initial_ms, multiplier, max_delay_ms, jitter, .. } => {
                let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
                let grown = initial_ms as f64 * multiplier.powi(exponent);
                let spread = 1.0 - jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0);
                ((grown.min(max_delay_ms as f64) * spread) as u64, max_delay_ms)
            }
        };
        let hint = hint.map_or(0, |hint| u64::try_from(hint.as_millis()).unwrap_or(u64::MAX));
        Some(Duration::from_millis(delay.max(hint.min(longest))))
    }

    /// The same for a saga that can't turn back: it goes on past the last attempt, at the policy's longest pace.
    pub fn delay_without_end(
        &self,
        failures: u32,
        hint: Option<Duration>,
        chance: f64,
    ) -> Duration {
        let mut endless = self.without_end();
        // A policy of few quick attempts is not one of many.
        if let Self::Fixed { delay_ms, .. } = &mut endless
            && self.max_attempts().is_some_and(|max| failures >= max)
        {
            *delay_ms = LONGEST_PAUSE_MS.max(*delay_ms);
        }
        endless.delay(failures, hint, chance).unwrap_or(Duration::from_millis(LONGEST_PAUSE_MS))
    }

    /// What is wrong with it, if anything is.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Fixed { max_attempts: Some(0), .. }
            | Self::Exponential { max_attempts: Some(0), .. } => {
                Some("max_attempts must be at least 1")
            }
            Self::Exponential { multiplier, .. }
                if !multiplier.is_finite() || *multiplier < 1.0 =>
            {
                Some("multiplier must be at least 1")
            }
            Self::Exponential { jitter, .. } if !(0.0..=1.0).contains(jitter) => {
                Some("jitter must be in 0..1")
            }
            _ => None,
        }
    }
}

/// Between attempts that a policy no longer paces.
const LONGEST_PAUSE_MS: u64 = 10_000;

/// A worker's wish for a delay is held to this under a fixed policy, which names no longest delay.
const HINT_CAP_MS: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(jitter: f64) -> RetryPolicy {
        RetryPolicy::Exponential {
            initial_ms: 100,
            multiplier: 2.0,
            max_delay_ms: 300,
            max_attempts: Some(4),
            jitter,
        }
    }

    #[test]
    fn grows_to_the_cap_and_ends() {
        let delays: Vec<_> =
            (1..=4).map(|n| exponential(0.0).delay(n, None, 0.9).map(|d| d.as_millis())).collect();
        assert_eq!(delays, [Some(100), Some(200), Some(300), None]);
    }

    #[test]
    fn jitter_only_shortens() {
        let delay = exponential(0.5).delay(2, None, 0.5).expect("a second attempt").as_millis();
        assert_eq!(delay, 150);
    }

    #[test]
    fn a_hint_lengthens_up_to_the_cap() {
        let hint = |ms| Some(Duration::from_millis(ms));
        let delay = |hint| exponential(0.0).delay(1, hint, 0.0).expect("a second").as_millis();
        assert_eq!((delay(hint(50)), delay(hint(250)), delay(hint(9_000))), (100, 250, 300));
    }

    #[test]
    fn never_is_once() {
        assert_eq!(RetryPolicy::Never {}.delay(1, None, 0.0), None);
    }
}
