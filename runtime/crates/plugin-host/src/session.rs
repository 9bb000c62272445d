//! A guest's transaction: what it does in the database through its imports, and what commits what it returns.
//!
//! It begins with the first statement. Each statement ends by the attempt's deadline: epochs do not interrupt the host.
//! One that does not leaves its transaction in an unknown state, so it is dropped there and then, and the attempt
//! fails whatever the guest says.

use std::sync::Arc;

use tokio::time::{Instant, error::Elapsed, timeout_at};
use wasaga_domain::{
    clock::UnixMillis,
    ports::{GuestDatabase, GuestTransaction},
    sql::SqlError,
};

use crate::access::Access;

/// A call's use of the database.
pub(crate) struct Session {
    database: Arc<dyn GuestDatabase>,
    deadline: UnixMillis,
    /// When each statement ends.
    pub(crate) until: Instant,
    transaction: Option<Box<dyn GuestTransaction>>,
    /// A statement did not end in time.
    lost: bool,
}

impl Session {
    /// Nothing is opened yet.
    pub(crate) fn new(
        database: Arc<dyn GuestDatabase>,
        deadline: UnixMillis,
        until: std::time::Instant,
    ) -> Self {
        Self { database, deadline, until: until.into(), transaction: None, lost: false }
    }

    /// The open transaction, if there is one, or an error where it was lost.
    pub(crate) fn finish(self) -> Result<Option<Box<dyn GuestTransaction>>, SqlError> {
        if self.lost { Err(too_late()) } else { Ok(self.transaction) }
    }

    /// The transaction, which begins here where there is none.
    pub(crate) async fn open(
        &mut self,
        access: &Access,
    ) -> Result<&mut dyn GuestTransaction, SqlError> {
        if self.lost {
            return Err(SqlError::new(
                "25P02",
                "the transaction was lost with an earlier statement",
            ));
        }
        let open = if let Some(open) = self.transaction.take() {
            open
        } else {
            let plugin = access.plugin.as_ref().expect("the database is for plugins by name");
            let begun = timeout_at(self.until, self.database.begin(plugin, self.deadline)).await;
            self.in_time(begun)?
        };
        Ok(self.transaction.insert(open).as_mut())
    }

    /// Gives the transaction up where its statement did not end in time.
    pub(crate) fn in_time<T, E>(&mut self, ended: Result<Result<T, E>, Elapsed>) -> Result<T, E>
    where
        E: From<SqlError>,
    {
        ended.unwrap_or_else(|_| {
            self.transaction = None;
            self.lost = true;
            Err(too_late().into())
        })
    }
}

fn too_late() -> SqlError {
    SqlError::new("57014", "the statement did not end by the attempt's deadline")
}
