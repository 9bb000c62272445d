//! Why an attempt did not end well, by what has to follow.

use std::time::Duration;

pub use crate::bindings::imports::wasaga::plugin::types::{ErrorDetail, Failure, RetryHint};
use crate::payload::Payload;

impl ErrorDetail {
    /// `code` is short and stable, as `payment-declined`; `message` is a sentence for the operator.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), data: None }
    }

    /// What a program may want to know besides.
    pub fn data(mut self, data: Payload) -> Self {
        self.data = Some(data);
        self
    }
}

impl Failure {
    /// This attempt did nothing: try again under the step's policy.
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retryable(RetryHint { detail: ErrorDetail::new(code, message), after_ms: None })
    }

    /// As [`retryable`](Self::retryable), and not before this long.
    pub fn retry_after(
        code: impl Into<String>,
        message: impl Into<String>,
        after: Duration,
    ) -> Self {
        let after_ms = Some(crate::manifest::millis(after));
        Self::Retryable(RetryHint { detail: ErrorDetail::new(code, message), after_ms })
    }

    /// The effect has certainly not happened and never will: no retry, no undo of this step.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Permanent(ErrorDetail::new(code, message))
    }

    /// The effect may have happened: retried under the policy, and undone when the saga fails.
    pub fn unknown(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unknown(ErrorDetail::new(code, message))
    }

    /// What went wrong.
    pub fn detail(&self) -> &ErrorDetail {
        match self {
            Self::Retryable(hint) => &hint.detail,
            Self::Permanent(detail) | Self::Unknown(detail) => detail,
        }
    }
}
