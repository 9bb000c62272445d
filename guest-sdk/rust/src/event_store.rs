//! Event-sourced aggregates, in the transaction that commits this step or task: both happen, or neither.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use wasaga_guest::{event_store::{Aggregate, Stream}, failure::Failure};
//!
//! #[derive(Default, Deserialize, Serialize)]
//! struct Account {
//!     cents: i64,
//! }
//!
//! #[derive(Deserialize, Serialize)]
//! enum AccountEvent {
//!     Paid { cents: i64 },
//!     Closed,
//! }
//!
//! impl Aggregate for Account {
//!     type Event = AccountEvent;
//!
//!     fn apply(&mut self, event: AccountEvent) {
//!         match event {
//!             AccountEvent::Paid { cents } => self.cents += cents,
//!             AccountEvent::Closed => self.cents = 0,
//!         }
//!     }
//! }
//!
//! fn pay(account: &str, cents: i64) -> Result<i64, Failure> {
//!     let mut account: Stream<Account> = Stream::load(account)?;
//!     account.record(AccountEvent::Paid { cents });
//!     account.save()?;
//!     Ok(account.state().cents)
//! }
//! ```

mod stream;

pub use crate::bindings::imports::wasaga::plugin::event_store::{
    Error, Event, Snapshot, StoredEvent, append, load, save_snapshot,
};
use crate::failure::Failure;
pub use stream::{Aggregate, Stream};

/// Another attempt loads what somebody else appended, and may be better off.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(version) => {
                let message = format!("somebody else appended: the stream is at version {version}");
                Self::retryable("event-conflict", message)
            }
            Error::Other(message) => Self::retryable("event-store", message),
        }
    }
}
