//! A call of the first step of a definition, without a saga.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::sync::oneshot;
use uuid::Uuid;
use wasaga_domain::{
    attempt::{Attempt, Direction},
    clock::{Clock as _, SystemClock, UnixMillis},
    definition::Definition,
    ids::SagaId,
    ledger::Ledger,
    outcome::StepOutcome,
    payload::Payload,
    ports::{CallContext, CallKind, StepCall, StepExecutor, StepReport},
};

/// Calls the first step and returns the executor's report.
pub async fn first_step(
    executor: &dyn StepExecutor,
    definition: &Arc<Definition>,
    input: Payload,
) -> Result<StepReport> {
    let deadline = SystemClock.now().after(Duration::from_mins(1));
    first_step_until(executor, definition, input, deadline).await
}

/// The same with a deadline.
pub async fn first_step_until(
    executor: &dyn StepExecutor,
    definition: &Arc<Definition>,
    input: Payload,
    deadline: UnixMillis,
) -> Result<StepReport> {
    let step = &definition.steps[0];
    let attempt = Attempt {
        saga_id: SagaId(Uuid::nil()),
        saga: Arc::clone(&definition.name),
        definition_version: definition.version,
        business_key: None,
        step: Arc::clone(&step.name),
        direction: Direction::Forward,
        number: 1,
        idempotency_key: "bench".into(),
        forward_key: "bench".into(),
        deadline,
        traceparent: None,
    };
    let context = CallContext {
        definition: Arc::clone(definition),
        ledger: Arc::new(Ledger::default()),
        cause: None,
    };
    let kind = CallKind::Execute { guarded: step.guarded };
    let call =
        StepCall { attempt, worker: step.worker.clone(), module: None, input, kind, context };
    let (report, reported) = oneshot::channel();
    executor.run(call, Box::new(move |done| drop(report.send(done))));
    reported.await.context("the executor reports")
}

/// What the first step returns.
pub async fn first_output(
    executor: &dyn StepExecutor,
    definition: &Arc<Definition>,
    input: Payload,
) -> Result<Payload> {
    match first_step(executor, definition, input).await?.outcome {
        Ok(StepOutcome::Done(done)) => Ok(done.output),
        outcome => bail!("the first step is not done at once: {outcome:?}"),
    }
}
