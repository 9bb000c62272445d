//! What becomes of a call that trapped.
//!
//! Most guests reach nothing outside the transaction of their result, and their own SQL is rolled back: so a trap, a time-out
//! and a hit limit did nothing, and the attempt may be repeated. In `resume`, and after a request that may have changed
//! something, it is otherwise: see [`found`].

use wasaga_domain::{
    outcome::{ErrorDetail, Failure},
    ports::CallKind,
};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::{
    bindings::wasaga::plugin::logging::Level,
    limits::{Limits, told_bytes},
    state::CallState,
    trace::Trace,
};

/// An attempt that did nothing.
pub(crate) fn retryable(code: &str, message: String) -> Failure {
    Failure::Retryable { detail: ErrorDetail::new(code, message), after: None }
}

/// Nobody could be called.
pub(crate) fn unavailable(code: &str, message: String) -> Failure {
    Failure::Unavailable(ErrorDetail::new(code, message))
}

/// Whether something was sent before this call.
pub(crate) fn is_resumed(kind: &CallKind) -> bool {
    matches!(kind, CallKind::Resume { .. })
}

/// What a failure means that the host found, and not one that the guest returned. In doubt, as in `resume` or after a
/// request, nobody knows what became of what was sent, as the guest's word on it is not to be had.
pub(crate) fn found(failure: Failure, in_doubt: bool) -> Failure {
    match failure {
        Failure::Retryable { detail, .. } | Failure::Permanent(detail) if in_doubt => {
            Failure::Unknown(detail)
        }
        failure => failure,
    }
}

/// What an error of wasmtime's means for the attempt; `export` is what was called.
pub(crate) fn of_trap(error: &wasmtime::Error, state: &CallState, export: &str) -> Failure {
    let plugin = state.access.name();
    if error.is::<PoolConcurrencyLimitError>() {
        return unavailable("overloaded", format!("plugin {plugin}, {export}: {error}"));
    }
    let (code, what) = cause(error, state);
    metrics::counter!("wasaga_guest_traps_total", "plugin" => plugin.to_owned(), "code" => code)
        .increment(1);
    let trace = Trace::of(error);
    let own = trace.as_ref().and_then(|trace| Some(format!(" at {}", trace.own()?)));
    let said = state.log.last_error.as_ref().map(|line| format!("; it said: {line}"));
    let [own, said] = [own, said].map(Option::unwrap_or_default);
    let message = format!("plugin {plugin}, {export}: {what}{own}{said}");
    if let Some(trace) = trace {
        let stack = format!("{export}: {what}{trace}");
        state.emit(Level::Warn, &state.access.secrets.redacted(stack));
    }
    found(retryable(code, state.access.secrets.redacted(message)), state.reached_out())
}

fn cause(error: &wasmtime::Error, state: &CallState) -> (&'static str, String) {
    if let Some(hit) = &state.memory.hit {
        return ("limit", hit.clone());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => ("timeout", "it did not end by the attempt's deadline".into()),
        Some(Trap::StackOverflow) => {
            let limit = told_bytes(state.limits.stack_bytes, "stack_bytes");
            ("limit", format!("its stack is full: {limit}"))
        }
        Some(trap) => ("trap", trap.to_string()),
        None => of_text(&error.root_cause().to_string(), &state.limits),
    }
}

/// wasmtime names some limits in words only.
fn of_text(text: &str, limits: &Limits) -> (&'static str, String) {
    if text.contains("fuel allocated for hostcalls") {
        let limit = told_bytes(limits.result_bytes, "result_bytes");
        ("limit", format!("it hands over too much at once: {limit}"))
    } else if text.contains("resource limit exceeded") || text.contains("exceeds the limit") {
        ("limit", text.to_owned())
    } else {
        ("trap", text.to_owned())
    }
}
