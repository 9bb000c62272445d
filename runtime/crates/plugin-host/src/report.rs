//! The promise that every call is reported, once: whatever becomes of it, also by the host's own fault.

use std::time::Instant;

use wasaga_domain::{
    ids::Digest,
    outcome::{Effect, Failure, StepOutcome},
    ports::{GuestTransaction, Report, StepReport, TaskReport},
};

use crate::failure::{found, retryable};

/// How a call ended.
pub(crate) struct Ended<T> {
    pub outcome: Result<T, Failure>,
    pub transaction: Option<Box<dyn GuestTransaction>>,
    /// Whether it may have changed something outside the host's transaction.
    pub reached_out: bool,
}

impl<T> Ended<T> {
    /// Without a result, and so without the guest's SQL.
    pub(crate) fn failed(failure: Failure) -> Self {
        Self { outcome: Err(failure), transaction: None, reached_out: false }
    }
}

/// A report and what goes into it.
pub(crate) trait Reported: Sized + 'static {
    /// What a good end is.
    type Outcome;

    /// The report of a call that began at `begun`.
    fn new(ended: Ended<Self::Outcome>, digest: Option<Digest>, begun: Instant) -> Self;

    /// What went wrong, if anything did.
    fn failure(&self) -> Option<&Failure>;
}

impl Reported for StepReport {
    type Outcome = StepOutcome;

    fn new(ended: Ended<StepOutcome>, digest: Option<Digest>, begun: Instant) -> Self {
        let Ended { outcome, transaction, reached_out } = ended;
        Self { outcome, digest, transaction, reached_out, took: begun.elapsed() }
    }

    fn failure(&self) -> Option<&Failure> {
        self.outcome.as_ref().err()
    }
}

impl Reported for TaskReport {
    type Outcome = Vec<Effect>;

    fn new(ended: Ended<Vec<Effect>>, digest: Option<Digest>, begun: Instant) -> Self {
        let Ended { outcome, transaction, .. } = ended;
        Self { outcome, digest, transaction, took: begun.elapsed() }
    }

    fn failure(&self) -> Option<&Failure> {
        self.outcome.as_ref().err()
    }
}

/// Reports once: when it is told to, or when it is dropped.
pub(crate) struct Reporter<R: Reported> {
    report: Option<Report<R>>,
    digest: Option<Digest>,
    begun: Instant,
    in_doubt: bool,
}

impl<R: Reported> Reporter<R> {
    /// For a call that begins now, of the code of this digest.
    pub(crate) fn new(report: Report<R>, digest: Option<Digest>) -> Self {
        Self { report: Some(report), digest, begun: Instant::now(), in_doubt: false }
    }

    /// The same, for a call of which nobody would know what it did: it goes on after a wait, or may send requests.
    pub(crate) fn in_doubt(mut self, in_doubt: bool) -> Self {
        self.in_doubt = in_doubt;
        self
    }

    /// The same, for a call that begins to run now.
    pub(crate) fn its_turn(mut self) -> Self {
        self.begun = Instant::now();
        self
    }

    /// Reports the end.
    pub(crate) fn send(mut self, ended: Ended<R::Outcome>) {
        self.report(ended);
    }

    fn report(&mut self, ended: Ended<R::Outcome>) {
        if let Some(report) = self.report.take() {
            report(R::new(ended, self.digest, self.begun));
        }
    }
}

impl<R: Reported> Drop for Reporter<R> {
    fn drop(&mut self) {
        let lost = "the host failed or stopped while it ran this attempt: its log says why";
        self.report(Ended::failed(found(retryable("host-fault", lost.into()), self.in_doubt)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn reporter() -> (Reporter<StepReport>, mpsc::Receiver<StepReport>) {
        let (sender, reports) = mpsc::channel();
        let report = Box::new(move |report| sender.send(report).expect("somebody listens"));
        (Reporter::new(report, None), reports)
    }

    /// What is reported of a call that the host lost.
    fn lost(in_doubt: bool) -> Failure {
        let (reporter, reports) = reporter();
        let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = reporter.in_doubt(in_doubt);
            panic!("a fault of the host's");
        }));
        assert!(lost.is_err());
        let failure = reports.recv().expect("a report").outcome.expect_err("a failure");
        assert_eq!(failure.detail().code, "host-fault");
        assert!(reports.recv().is_err(), "one report only");
        failure
    }

    #[test]
    fn a_call_that_is_lost_is_reported() {
        assert!(matches!(lost(false), Failure::Retryable { .. }));
        assert!(matches!(lost(true), Failure::Unknown(_)), "something was sent before");
    }

    #[test]
    fn a_call_that_ended_is_reported_once() {
        let (reporter, reports) = reporter();
        let outcome = Ok(StepOutcome::Skipped);
        reporter.send(Ended { outcome, transaction: None, reached_out: false });
        assert!(matches!(reports.recv().expect("a report").outcome, Ok(StepOutcome::Skipped)));
        assert!(reports.recv().is_err(), "one report only");
    }
}
