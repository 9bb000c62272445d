//! The modules of one plugin that take calls, and which of them takes which.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use wasaga_domain::{
    attempt::Direction,
    ids::Digest,
    outcome::Failure,
    ports::{Activation, Report, StepCall, TaskCall},
    swap::{CanaryCounts, Counts},
};

use crate::{loading::Loaded, report::Reported};

/// A plugin's modules.
#[derive(Clone)]
pub(crate) struct Running {
    pub active: Arc<Loaded>,
    /// Undoes what the active one did.
    pub undo: Option<Arc<Loaded>>,
    pub canary: Option<Arc<Canary>>,
}

/// A module that takes a part of the calls; what they came to is counted beside the active one's.
pub(crate) struct Canary {
    pub id: i64,
    pub module: Arc<Loaded>,
    percent: u32,
    own: Tally,
    active: Tally,
}

#[derive(Default)]
struct Tally {
    calls: AtomicU64,
    failures: AtomicU64,
}

/// Where a call is counted.
pub(crate) struct Counted {
    canary: Arc<Canary>,
    is_own: bool,
}

impl Running {
    /// One module for everything.
    pub(crate) fn alone(active: Arc<Loaded>) -> Self {
        Self { active, undo: None, canary: None }
    }

    /// Whether these are the modules that the database says.
    pub(crate) fn is(&self, activation: &Activation) -> bool {
        let canary = activation.canary.as_ref().map(|canary| canary.id);
        self.active.digest == activation.digest
            && self.undo.as_ref().map(|module| module.digest) == activation.undo
            && self.canary.as_ref().map(|canary| canary.id) == canary
    }

    /// The module of this digest, if it is one of these.
    pub(crate) fn module(&self, digest: Digest) -> Option<&Arc<Loaded>> {
        let canary = self.canary.as_ref().map(|canary| &canary.module);
        [Some(&self.active), self.undo.as_ref(), canary]
            .into_iter()
            .flatten()
            .find(|module| module.digest == digest)
    }

    /// The module that takes this call. One that does not have the step is not called for it.
    pub(crate) fn of_step(&self, call: &StepCall) -> (&Arc<Loaded>, Option<Counted>) {
        let attempt = &call.attempt;
        let undo = self.undo.as_ref().filter(|module| {
            attempt.direction == Direction::Undo && module.step(&attempt.step).is_ok()
        });
        if let Some(undo) = undo {
            return (undo, None);
        }
        self.side(attempt.saga_id.0.as_bytes(), |module| module.step(&attempt.step).is_ok())
    }

    /// The same for a task: those of one message's key go to one side.
    pub(crate) fn of_task(&self, call: &TaskCall) -> (&Arc<Loaded>, Option<Counted>) {
        let key = call.message.key.as_deref().unwrap_or(call.idempotency_key.as_bytes());
        let active = &self.active.exports;
        self.side(key, |module| {
            module.exports.tasks.is_some() == active.tasks.is_some()
                && module.exports.lifecycle.is_some() == active.lifecycle.is_some()
        })
    }

    fn side(&self, key: &[u8], can: impl Fn(&Loaded) -> bool) -> (&Arc<Loaded>, Option<Counted>) {
        let Some(canary) = &self.canary else { return (&self.active, None) };
        let is_own = canary.takes(key) && can(&canary.module);
        let module = if is_own { &canary.module } else { &self.active };
        (module, Some(Counted { canary: canary.clone(), is_own }))
    }
}

impl Canary {
    /// A canary of which nothing was counted yet.
    pub(crate) fn new(id: i64, percent: u32, module: Arc<Loaded>) -> Self {
        Self { id, module, percent, own: Tally::default(), active: Tally::default() }
    }

    /// Whether it takes calls of this key: on every host alike, and those of a greater percentage are those of a smaller
    /// one and others.
    fn takes(&self, key: &[u8]) -> bool {
        let Digest(hash) = Digest::of(key);
        let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        u64::from(number) * 100 < u64::from(self.percent) << 32
    }

    /// What was counted since it was taken last; nothing where no call ended.
    pub(crate) fn take(&self) -> Option<CanaryCounts> {
        let counts = CanaryCounts { canary: self.own.take(), active: self.active.take() };
        (counts != CanaryCounts::default()).then_some(counts)
    }

    /// Puts back what could not be told.
    pub(crate) fn give_back(&self, counts: CanaryCounts) {
        self.own.add(counts.canary);
        self.active.add(counts.active);
    }
}

impl Tally {
    fn take(&self) -> Counts {
        let (calls, failures) = (&self.calls, &self.failures);
        Counts {
            failures: failures.swap(0, Ordering::Relaxed),
            calls: calls.swap(0, Ordering::Relaxed),
        }
    }

    fn add(&self, counts: Counts) {
        self.calls.fetch_add(counts.calls, Ordering::Relaxed);
        self.failures.fetch_add(counts.failures, Ordering::Relaxed);
    }
}

impl Counted {
    /// The report, which counts the call on its way.
    pub(crate) fn report<R: Reported>(self, report: Report<R>) -> Report<R> {
        Box::new(move |reported| {
            let failure = reported.failure();
            // Nobody was called.
            if !matches!(failure, Some(Failure::Unavailable(_))) {
                let tally = if self.is_own { &self.canary.own } else { &self.canary.active };
                let failures = u64::from(failure.is_some_and(is_counted));
                tally.add(Counts { calls: 1, failures });
            }
            report(reported);
        })
    }
}

/// Whether a failure speaks against the code: a permanent one is an outcome of the business, unless the host found it.
fn is_counted(failure: &Failure) -> bool {
    match failure {
        Failure::Retryable { .. } | Failure::Unknown(_) => true,
        Failure::Permanent(detail) => matches!(&*detail.code, "bad-output" | "denied"),
        Failure::Unavailable(_) => false,
    }
}
