//! Starts: many callers' sagas in one insert.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use tracing::warn;
use uuid::Uuid;
use wasaga_domain::{
    clock::UnixMillis,
    ids::{HostId, SagaId},
    ledger::Ledger,
    start::NewSaga,
};
use wasaga_store::{Store, StoreError, saga_start};

use super::{
    StartError, StartRequest, Started,
    committer::Pause,
    held::{Busy, Facts, Held},
};

/// A start, and who waits for it.
pub(super) struct Start {
    pub request: StartRequest,
    pub answer: oneshot::Sender<Result<Started, StartError>>,
}

/// How long a start is tried before its caller is told that the database is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Inserts a batch, answers its callers, and returns the sagas that are new: they are leased to this host.
pub(super) async fn insert(
    store: &Store,
    host: HostId,
    starts: Vec<Start>,
    now: UnixMillis,
) -> Vec<Held> {
    let new: Vec<NewSaga> = starts.iter().map(|start| new_saga(&start.request, now)).collect();
    let outcomes = insert_rows(store, host, &new).await;
    let mut held = HashMap::new();
    for ((start, saga), outcome) in starts.into_iter().zip(new).zip(outcomes) {
        let answer = outcome.and_then(|started| answer(saga.id, started));
        if let Ok(Started { created: true, .. }) = answer {
            held.insert(saga.id, new_held(start.request, saga));
        }
        // The caller may be gone; the saga runs all the same.
        let _ = start.answer.send(answer);
    }
    held.into_values().collect()
}

fn answer(saga_id: SagaId, started: saga_start::Started) -> Result<Started, StartError> {
    match started {
        saga_start::Started::New => {
            Ok(Started { saga_id, created: true, status: wasaga_domain::state::Status::Pending })
        }
        saga_start::Started::Existing { status, same_input: true } => {
            Ok(Started { saga_id, created: false, status })
        }
        saga_start::Started::Existing { status, same_input: false } => {
            Err(StartError::Conflict(saga_id, status))
        }
    }
}

fn new_saga(request: &StartRequest, now: UnixMillis) -> NewSaga {
    let StartRequest { definition, business_key, input, traceparent } = request;
    let (key, input) = (business_key.clone(), input.clone());
    let traceparent = traceparent.clone();
    NewSaga { traceparent, ..NewSaga::of(definition, key, input, Uuid::now_v7(), now) }
}

fn new_held(request: StartRequest, saga: NewSaga) -> Held {
    Held {
        facts: Facts {
            id: saga.id,
            definition: request.definition,
            business_key: request.business_key.map(Arc::from),
            nonce: saga.nonce,
            traceparent: request.traceparent.map(Arc::from),
            input: request.input,
            child: false,
        },
        life: 0,
        since: Instant::now(),
        wake: None,
        epoch: 1,
        sequence: 0,
        mail: 0,
        state: saga.state,
        ledger: Arc::new(Ledger::default()),
        registered: false,
        calling: std::collections::HashSet::new(),
        busy: Busy::No,
        migrates: false,
        finished: std::collections::VecDeque::new(),
    }
}

/// An outcome for each saga. One that does not fit the database fails alone.
async fn insert_rows(
    store: &Store,
    host: HostId,
    sagas: &[NewSaga],
) -> Vec<Result<saga_start::Started, StartError>> {
    let mut pause = Pause::default();
    let begun = Instant::now();
    loop {
        match store.sagas_start(host, sagas).await {
            Ok(started) => return started.into_iter().map(Ok).collect(),
            Err(StoreError::Data(error)) => {
                if sagas.len() == 1 {
                    return vec![Err(StartError::Refused(error.to_string()))];
                }
                let (some, others) = sagas.split_at(sagas.len() / 2);
                let mut outcomes = Box::pin(insert_rows(store, host, some)).await;
                outcomes.extend(Box::pin(insert_rows(store, host, others)).await);
                return outcomes;
            }
            Err(error) if begun.elapsed() < PATIENCE && error.is_transient() => {
                warn!(%error, "a start failed, and is tried again");
                pause.wait().await;
            }
            Err(error) => {
                warn!(%error, "a start failed");
                let unavailable = StartError::Unavailable("the database does not answer".into());
                return vec![Err(unavailable); sagas.len()];
            }
        }
    }
}
