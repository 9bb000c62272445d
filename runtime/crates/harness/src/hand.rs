//! Time that is moved by hand, and what has to know of it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI64, Ordering},
};

use wasaga_domain::{
    clock::{Clock, SystemClock, UnixMillis},
    ids::PluginName,
    ports::{GuestDatabase, GuestTransaction},
    sql::SqlError,
};
use wasaga_store::Store;

/// A clock that stands until it is moved.
#[derive(Default)]
pub(crate) struct Hand(AtomicI64);

impl Hand {
    pub(crate) fn set(&self, now: UnixMillis) {
        self.0.store(now.0, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }
}

/// The database of guests, whose deadlines are by a clock that is moved by hand, and not by the system's.
#[derive(Default)]
pub(crate) struct ByHand {
    /// Set where a plugin asks for what needs it.
    pub store: OnceLock<Store>,
    pub clock: Arc<Hand>,
}

#[async_trait::async_trait]
impl GuestDatabase for ByHand {
    async fn begin(
        &self,
        plugin: &PluginName,
        deadline: UnixMillis,
    ) -> Result<Box<dyn GuestTransaction>, SqlError> {
        let store = self.store.get().expect("who asks for no database is denied before");
        let left = deadline.since(self.clock.now());
        store.begin(plugin, SystemClock.now().after(left)).await
    }
}
