//! Which lanes the inbox holds: its share of them, taken when they are free, given back when there are more hosts.

use std::time::{Duration, Instant};

use wasaga_domain::ids::HostId;
use wasaga_store::{
    Store, StoreError,
    lanes::{Flow, Lane},
};

const EVERY: Duration = Duration::from_secs(1);

/// The lanes of a host.
#[derive(Debug)]
pub(super) struct Lanes {
    flow: Flow,
    held: Vec<Lane>,
    looked: Option<Instant>,
}

impl Lanes {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, held: Vec::new(), looked: None }
    }

    /// The lane of this number, with its lease's epoch.
    pub(super) fn get(&self, number: i16) -> Option<Lane> {
        self.held.iter().copied().find(|lane| lane.number == number)
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<i16> {
        self.held.iter().map(|lane| lane.number).collect()
    }

    /// Whether it is time to look again.
    pub(super) fn is_due(&self) -> bool {
        self.looked.is_none_or(|looked| looked.elapsed() >= EVERY)
    }

    /// Makes the next look due at once: a lane seems to be lost.
    pub(super) fn doubt(&mut self) {
        self.looked = None;
    }

    /// Forgets them all: the host's lease ended.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.flow);
    }

    /// Looks which lanes are held, gives back those that are too many and idle, takes what is missing. Answers, where
    /// anything changed, with the lanes that stayed under the same lease.
    pub(super) async fn look(
        &mut self,
        store: &Store,
        host: HostId,
        is_busy: impl Fn(i16) -> bool,
    ) -> Result<Option<Vec<i16>>, StoreError> {
        self.looked = Some(Instant::now());
        let mut held = store.lanes_of(host, self.flow).await?;
        let share = store.lanes_share(self.flow).await?;
        if held.len() > share {
            let idle = held.iter().map(|lane| lane.number).filter(|lane| !is_busy(*lane));
            let surplus: Vec<i16> = idle.take(held.len() - share).collect();
            store.lanes_release(host, self.flow, &surplus).await?;
            held.retain(|lane| !surplus.contains(&lane.number));
        } else if held.len() < share {
            held.extend(store.lanes_take(host, self.flow, (share - held.len()) as i64).await?);
        }
        held.sort_unstable();
        if held == self.held {
            return Ok(None);
        }
        let stayed = held.iter().filter(|lane| self.held.contains(lane)).map(|lane| lane.number);
        let stayed = stayed.collect();
        self.held = held;
        Ok(Some(stayed))
    }

    /// Gives all back.
    pub(super) async fn release(&mut self, store: &Store, host: HostId) -> Result<(), StoreError> {
        store.lanes_release(host, self.flow, &self.numbers()).await?;
        self.clear();
        Ok(())
    }
}
