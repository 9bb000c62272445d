//! Claims: whose lease is free and who has something to do. Ready ones first, then those whose time has come, then
//! those whose host is gone.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;
use tracing::{error, info};
use wasaga_domain::{
    attempt::Direction,
    clock::UnixMillis,
    definition::Definition,
    ids::{HostId, SagaId},
    journal::Entry,
    ledger::Ledger,
    state::State,
};
use wasaga_store::{
    Store, StoreError,
    saga_claim::{Claimed, LedgerRow},
};

use super::{
    held::{Busy, Facts, Held},
    post,
};
use crate::{decide, definitions::DefinitionSource};

/// A claimed saga with all that is needed to go on.
pub struct Loaded {
    /// The saga under its new lease.
    pub held: Held,
    /// Leases in a row that were lost with their host.
    pub interruptions: u16,
    /// What its mail says first.
    pub mail: Option<decide::Event>,
}

/// What a round of claims found.
#[derive(Default)]
pub struct Claims {
    /// What was claimed.
    pub loaded: Vec<Loaded>,
    /// Whether there may be more.
    pub more: bool,
}

/// Which sagas a round of claims looks for; each reach includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Those that were woken.
    Ready,
    /// Those whose time has come.
    Due,
    /// Those whose host is gone.
    All,
}

/// Takes up to `limit` leases.
pub async fn claim(
    store: &Store,
    definitions: &dyn DefinitionSource,
    host: HostId,
    limit: usize,
    reach: Reach,
) -> Result<Claims, StoreError> {
    let mut claimed = store.sagas_claim_ready(host, limit).await?;
    if reach >= Reach::Due && claimed.len() < limit {
        claimed.extend(store.sagas_claim_due(host, limit - claimed.len()).await?);
    }
    if reach >= Reach::All && claimed.len() < limit {
        let lost = store.sagas_claim_lost(host, limit - claimed.len()).await?;
        if !lost.is_empty() {
            info!(sagas = lost.len(), "took over from a host that is gone");
        }
        claimed.extend(lost);
    }
    let more = claimed.len() >= limit;
    let loaded = load(store, definitions, host, claimed).await?;
    Ok(Claims { loaded, more })
}

async fn load(
    store: &Store,
    definitions: &dyn DefinitionSource,
    host: HostId,
    claimed: Vec<Claimed>,
) -> Result<Vec<Loaded>, StoreError> {
    let journalled: Vec<SagaId> =
        claimed.iter().filter(|saga| saga.sequence > 0).map(|saga| saga.id).collect();
    let mut ledgers: HashMap<SagaId, Vec<LedgerRow>> = HashMap::new();
    if !journalled.is_empty() {
        for row in store.ledger_load(&journalled).await? {
            ledgers.entry(row.saga).or_default().push(row);
        }
    }
    let unseen: Vec<(SagaId, i64)> = claimed
        .iter()
        .filter(|saga| saga.mail > saga.state.mail_seen)
        .map(|saga| (saga.id, saga.state.mail_seen))
        .collect();
    let mut mail =
        if unseen.is_empty() { HashMap::new() } else { store.mail_load(&unseen).await? };
    let mut loaded = Vec::with_capacity(claimed.len());
    let mut unknown = Vec::new();
    for saga in claimed {
        match definitions.definition(&saga.definition, saga.version).await {
            Ok(definition) => {
                let rows = ledgers.remove(&saga.id).unwrap_or_default();
                let mail = mail.remove(&saga.id).unwrap_or_default();
                let mail = post::event(definitions, &saga.definition, mail).await;
                loaded.push(Loaded {
                    interruptions: saga.interruptions,
                    held: held(saga, definition, rows),
                    mail,
                });
            }
            Err(reason) => {
                error!(saga = %saga.id, reason, "a saga cannot go on: put off");
                unknown.push((saga.id, saga.epoch));
            }
        }
    }
    if !unknown.is_empty() {
        store.sagas_put_off(host, &unknown).await?;
    }
    Ok(loaded)
}

/// A claimed saga, and the part of its journal that its ledger is made of.
pub fn held(saga: Claimed, definition: Arc<Definition>, rows: Vec<LedgerRow>) -> Held {
    let mut ledger = Ledger::default();
    rows.into_iter()
        .filter_map(|row| entry(&definition, &saga.state, row))
        .for_each(|entry| ledger.record(&entry));
    Held {
        life: 0,
        since: Instant::now(),
        wake: None,
        epoch: saga.epoch,
        sequence: saga.sequence,
        mail: saga.mail,
        // Whatever it was parked for, or put off by.
        registered: true,
        state: saga.state,
        ledger: Arc::new(ledger),
        facts: Facts {
            id: saga.id,
            definition,
            business_key: saga.business_key.map(Arc::from),
            nonce: saga.nonce,
            traceparent: saga.traceparent.map(Arc::from),
            input: saga.input,
            child: saga.child,
        },
        calling: HashSet::new(),
        busy: Busy::No,
        migrates: false,
        finished: VecDeque::new(),
    }
}

/// The part of a journal entry that the ledger is made of.
fn entry(definition: &Definition, state: &State, row: LedgerRow) -> Option<Entry> {
    let step = state.place_of(definition, &row.step)?;
    let direction = if row.forward { Direction::Forward } else { Direction::Undo };
    Some(Entry {
        step: Some(step),
        output: row.output,
        undo: row.undo,
        memo: row.memo,
        digest: row.digest,
        ..Entry::of_saga(row.kind, direction, UnixMillis::default())
    })
}
