//! Commits, and what to make of it when Postgres says no, or nothing.

use std::time::Duration;

use tokio::time;
use tracing::warn;
use wasaga_domain::{ids::HostId, ports::GuestTransaction};
use wasaga_store::{
    Store, StoreError,
    commit::{Position, Transition, Verdict},
};

/// The longest pause before the database is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// No batch of more than one transition is larger: Postgres takes no message of a gigabyte.
const BATCH_BYTES: usize = 64 << 20;

/// How many of these transitions, from the first on, go into one transaction.
pub(super) fn fitting<'a>(transitions: impl Iterator<Item = &'a Transition>) -> usize {
    let mut bytes = 0;
    let fits = |transition: &&Transition| {
        bytes += transition.bytes();
        bytes <= BATCH_BYTES
    };
    transitions.take_while(fits).count().max(1)
}

/// What became of a transition.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The database has spoken.
    Verdict(Verdict),
    /// Its data does not fit: committing it will always fail.
    Refused(String),
}

/// Commits a batch; returns when each transition's fate is known, however long the database is away.
pub(super) async fn commit(
    store: &Store,
    host: HostId,
    transitions: Vec<Transition>,
) -> Vec<Outcome> {
    let mut pause = Pause::default();
    loop {
        match store.sagas_commit(host, &transitions).await {
            Ok(verdicts) => return verdicts.into_iter().map(Outcome::Verdict).collect(),
            Err(StoreError::Data(error)) => return bisect(store, host, transitions, &error).await,
            Err(StoreError::Connection(error)) => {
                warn!(%error, sagas = transitions.len(), "a commit was cut off: reading what became of it");
                pause.wait().await;
                return settle(store, host, transitions, pause).await;
            }
            Err(error) => {
                warn!(%error, sagas = transitions.len(), "a commit failed, and is tried again");
                pause.wait().await;
            }
        }
    }
}

/// A batch with bad data in it: halves go on, until the culprit stands alone.
async fn bisect(
    store: &Store,
    host: HostId,
    mut transitions: Vec<Transition>,
    error: &impl ToString,
) -> Vec<Outcome> {
    if transitions.len() == 1 {
        return vec![Outcome::Refused(error.to_string())];
    }
    let rest = transitions.split_off(transitions.len() / 2);
    let mut outcomes = Box::pin(commit(store, host, transitions)).await;
    outcomes.extend(Box::pin(commit(store, host, rest)).await);
    outcomes
}

/// After an ambiguous error: what has advanced is committed, what has not is committed again.
async fn settle(
    store: &Store,
    host: HostId,
    transitions: Vec<Transition>,
    mut pause: Pause,
) -> Vec<Outcome> {
    let ids: Vec<_> = transitions.iter().map(|transition| transition.saga).collect();
    let positions = loop {
        match store.sagas_position(&ids).await {
            Ok(positions) => break positions,
            Err(error) => {
                warn!(%error, "the database is still away");
                pause.wait().await;
            }
        }
    };
    let fates: Vec<_> = transitions
        .iter()
        .zip(positions)
        .map(|(transition, position)| fate(host, transition, position))
        .collect();
    let again: Vec<_> = transitions
        .into_iter()
        .zip(&fates)
        .filter(|(_, fate)| fate.is_none())
        .map(|(transition, _)| transition)
        .collect();
    let mut retried =
        if again.is_empty() { Vec::new() } else { Box::pin(commit(store, host, again)).await }
            .into_iter();
    let outcome = |fate: Option<Verdict>| match fate {
        Some(verdict) => Outcome::Verdict(verdict),
        None => retried.next().expect("an outcome for each transition"),
    };
    fates.into_iter().map(outcome).collect()
}

/// What became of a transition, by what the database has; nothing when it did not happen and still may.
pub fn fate(host: HostId, transition: &Transition, position: Option<Position>) -> Option<Verdict> {
    let Some(position) = position.filter(|position| position.epoch == transition.epoch) else {
        return Some(Verdict::Lost);
    };
    if position.sequence == transition.next_sequence() && !transition.entries.is_empty() {
        // A lease that was given up with it is not taken back for mail that came later.
        let held = position.host == Some(host);
        let mail = if held { position.mail } else { transition.seen };
        return Some(Verdict::Committed { mail });
    }
    if position.host != Some(host) || position.sequence != transition.sequence {
        return Some(Verdict::Lost);
    }
    None
}

/// Pauses that double, up to [`LONGEST_PAUSE`].
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl Pause {
    pub async fn wait(&mut self) {
        time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// Commits one transition together with its guest's own SQL. Nothing, when the guest has to be called again: its
/// transaction is gone, and the transition was not committed.
pub(super) async fn commit_guest(
    store: &Store,
    host: HostId,
    transition: Transition,
    guest: Box<dyn GuestTransaction>,
) -> Option<Outcome> {
    match store.saga_commit_guest(host, &transition, guest).await {
        Ok(verdict) => return Some(Outcome::Verdict(verdict)),
        // A guest may also have left its transaction aborted, or have made a trigger that conflicts each time.
        Err(error) if !matches!(error, StoreError::Connection(_)) => {
            return Some(Outcome::Refused(error.to_string()));
        }
        Err(error) => {
            warn!(%error, saga = %transition.saga, "a guest's commit failed: reading what became of it");
        }
    }
    let mut pause = Pause::default();
    loop {
        pause.wait().await;
        match store.sagas_position(&[transition.saga]).await {
            Ok(positions) => return fate(host, &transition, positions[0]).map(Outcome::Verdict),
            Err(error) => warn!(%error, "the database is still away"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use wasaga_domain::{
        attempt::Direction,
        clock::UnixMillis,
        ids::SagaId,
        journal::{Entry, EntryKind},
        payload::Payload,
        state::Status,
    };
    use wasaga_store::commit::JournalEntry;

    use super::*;

    fn of_bytes(bytes: usize) -> Transition {
        let entry = Entry::of_saga(EntryKind::Succeeded, Direction::Forward, UnixMillis(0));
        let output = Some(Payload::json(vec![0; bytes]));
        Transition {
            saga: SagaId::derived("test", "1"),
            epoch: 1,
            sequence: 0,
            status: Status::Running,
            version: None,
            state: to_raw_value(&0).unwrap(),
            settles: false,
            seen: 0,
            due: None,
            clears: false,
            entries: vec![JournalEntry { step: None, entry: Entry { output, ..entry } }],
            waits: Vec::new(),
            effects: Vec::new(),
            cancels: Vec::new(),
            hooks: Vec::new(),
        }
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_never_empty() {
        let quarter = of_bytes(BATCH_BYTES / 4 - 100);
        assert_eq!(fitting([&quarter; 9].into_iter()), 4);
        let giant = of_bytes(2 * BATCH_BYTES);
        assert_eq!(fitting([&giant, &quarter].into_iter()), 1);
        assert_eq!(fitting([&quarter, &giant].into_iter()), 1);
    }
}
