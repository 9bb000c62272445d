//! What plugins log, kept by the saga or task they log for.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use tokio::sync::MutexGuard;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

/// Lines by the saga's or the task's id, as text.
type Lines = Mutex<HashMap<String, Vec<String>>>;

fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(Lines::default)
}

/// Has this process's tracing events go to the harness, once: without it no scenario sees a log line. Whoever has installed
/// a subscriber of their own keeps it.
pub fn capture() {
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Guests));
}

/// Nothing else happens on any stage of this process until this is dropped: lines are told apart by the saga's or task's id,
/// which is the same on each.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}

/// Takes out what was logged for a saga or task.
pub(crate) fn take(subject: &str) -> Vec<String> {
    lines().lock().unwrap_or_else(PoisonError::into_inner).remove(subject).unwrap_or_default()
}

struct Guests;

impl<S: Subscriber> Layer<S> for Guests {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "guest" {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        if let Some(subject) = line.subject {
            let level = event.metadata().level();
            let mut lines = lines().lock().unwrap_or_else(PoisonError::into_inner);
            lines.entry(subject).or_default().push(format!("{level} {}", line.message));
        }
    }
}

#[derive(Default)]
struct Line {
    subject: Option<String>,
    message: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "saga" | "task" => self.subject = Some(format!("{value:?}")),
            _ => {}
        }
    }
}
