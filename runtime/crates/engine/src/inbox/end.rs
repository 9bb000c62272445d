//! What follows an attempt. Pure.

use std::time::Duration;

use wasaga_domain::{
    outcome::{Effect, ErrorDetail, Failure},
    retry::RetryPolicy,
};
use wasaga_store::{commit::KeyedEffect, lanes::Flow, task_in::TaskResult};

/// What follows an attempt.
pub(super) enum Next {
    /// It counts, and is written down.
    End(TaskResult),
    /// Nobody could be called: it does not count.
    NotNow(ErrorDetail),
}

/// What follows `outcome` of attempt `number`; `chance` is in 0..1.
pub(super) fn after(
    outcome: Result<Vec<Effect>, Failure>,
    number: u32,
    flow: Flow,
    idempotency_key: &str,
    policy: &RetryPolicy,
    chance: f64,
) -> Next {
    let again = |detail: ErrorDetail, hint: Option<Duration>| {
        let detail = storable(detail);
        Next::End(match policy.delay(number, hint, chance) {
            Some(delay) => TaskResult::Wait(delay, detail),
            None => TaskResult::Error(detail),
        })
    };
    match outcome {
        Ok(effects) => Next::End(TaskResult::Ready(keyed(effects, flow, idempotency_key))),
        Err(Failure::Retryable { detail, after }) => again(detail, after),
        // Whatever it reached saw the task's idempotency key, and will see it again.
        Err(Failure::Unknown(detail)) => again(detail, None),
        Err(Failure::Permanent(detail)) => Next::End(TaskResult::Error(storable(detail))),
        Err(Failure::Unavailable(detail)) => Next::NotNow(detail),
    }
}

/// Each effect has a key of its own, the same for all attempts, or a receiver would take the second for the first. What
/// is sent in a message's place has that one's.
fn keyed(effects: Vec<Effect>, flow: Flow, key: &str) -> Vec<KeyedEffect> {
    let keyed = |(place, effect)| {
        let idempotency_key = match flow {
            Flow::HandleOut | Flow::DeadOut => key.to_owned(),
            Flow::In | Flow::Out | Flow::DeadIn => format!("{key}/{place}"),
        };
        KeyedEffect { effect, idempotency_key }
    };
    effects.into_iter().enumerate().map(keyed).collect()
}

/// jsonb takes no NUL, and a reason that can't be stored would keep its task from ever ending.
pub(super) fn storable(mut detail: ErrorDetail) -> ErrorDetail {
    for text in [&mut detail.code, &mut detail.message] {
        if text.contains('\0') {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    if let Some(data) = &mut detail.data
        && data.content_type.contains('\0')
    {
        data.content_type = data.content_type.replace('\0', "\u{fffd}").into();
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy::Fixed { delay_ms: 10, max_attempts: Some(2) }
    }

    fn next(failure: Failure, number: u32) -> Next {
        after(Err(failure), number, Flow::In, "k", &policy(), 0.0)
    }

    #[test]
    fn gives_up_when_the_attempts_are_used_up() {
        let fail = || Failure::Unknown(ErrorDetail::new("a\0", "b\0"));
        assert!(
            matches!(next(fail(), 1), Next::End(TaskResult::Wait(delay, _)) if delay.as_millis() == 10)
        );
        let Next::End(TaskResult::Error(reason)) = next(fail(), 2) else { panic!("it goes on") };
        assert!(!reason.code.contains('\0') && !reason.message.contains('\0'));
    }

    #[test]
    fn a_permanent_failure_gives_up_at_once_and_an_absent_plugin_never() {
        let detail = || ErrorDetail::new("a", "b");
        assert!(matches!(next(Failure::Permanent(detail()), 1), Next::End(TaskResult::Error(_))));
        assert!(matches!(next(Failure::Unavailable(detail()), 99), Next::NotNow(_)));
    }
}
