//! The null engine: in place of the plugin host, a step or a task that is done at once, the step with the same payload.

use std::time::Duration;

use wasaga_domain::{
    ids::Digest,
    outcome::{Done, StepOutcome},
    payload::Payload,
    ports::{Report, StepCall, StepExecutor, StepReport, TaskCall, TaskExecutor, TaskReport},
};

/// Replaces the executor and nothing else.
pub struct NullExecutor {
    /// What each step returns.
    pub output: Payload,
}

impl StepExecutor for NullExecutor {
    fn run(&self, _: StepCall, report: Report<StepReport>) {
        let done = Done { output: self.output.clone(), undo: None, effects: Vec::new() };
        report(StepReport {
            outcome: Ok(StepOutcome::Done(done)),
            digest: Some(Digest([0; 32])),
            transaction: None,
            reached_out: false,
            took: Duration::ZERO,
        });
    }
}

impl TaskExecutor for NullExecutor {
    fn handle(&self, _: TaskCall, report: Report<TaskReport>) {
        report(TaskReport {
            outcome: Ok(Vec::new()),
            digest: Some(Digest([0; 32])),
            transaction: None,
            took: Duration::ZERO,
        });
    }
}
