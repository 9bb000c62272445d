//! Whether Postgres can be reached, with what stands in the way. For whoever starts: pooled connections are tried
//! again and again, and say at last only that it took too long.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, error::DatabaseError};
use tokio::time::timeout;

use crate::Store;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Why there is no connection, each as a sentence that says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nothing answers, or what answers is starting: it may come.
    #[error("{0}")]
    Away(String),
    /// It answered, and does not take us: waiting does not help.
    #[error("{0}")]
    Refused(String),
}

impl Store {
    /// `host:port`, or the socket's path.
    pub fn address(&self) -> String {
        let connect = self.pool.options();
        match connect.get_socket() {
            Some(path) => path.display().to_string(),
            None => format!("{}:{}", connect.get_host(), connect.get_port()),
        }
    }

    /// Makes one connection of its own and closes it.
    pub async fn reach(&self) -> Result<(), Unreachable> {
        match timeout(ATTEMPT, self.pool.options().connect()).await {
            Ok(Ok(connection)) => {
                // It was made: how it ends does not matter.
                let _ = connection.close().await;
                Ok(())
            }
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.away(&format!("no answer within {} s", ATTEMPT.as_secs()))),
        }
    }

    fn unreachable(&self, error: &sqlx::Error) -> Unreachable {
        let (place, connect) = (self.address(), self.pool.options());
        let user = connect.get_username();
        let code = error.as_database_error().and_then(DatabaseError::code);
        let refused = |what: String| Unreachable::Refused(format!("Postgres at {place} {what}"));
        match (code.as_deref(), error) {
            (Some("28P01" | "28000"), _) => refused(format!(
                "does not let user {user} in ({error}): mend the user or password of database.url"
            )),
            (Some("3D000"), _) => {
                let database = connect.get_database().unwrap_or(user);
                refused(format!(
                    "has no database {database}: create it, or name another in database.url"
                ))
            }
            // It starts or stops, or has no connection free.
            (Some("57P01" | "57P02" | "57P03" | "53300"), _) => self.away(&error.to_string()),
            (Some(_), _) => refused(format!("refuses the connection: {error}")),
            (None, sqlx::Error::Io(error)) => self.away(&error.to_string()),
            (None, error) => refused(format!("can't be connected: {error}: mend database.url")),
        }
    }

    fn away(&self, why: &str) -> Unreachable {
        let place = self.address();
        Unreachable::Away(format!(
            "Postgres at {place} does not answer: {why}: start it, or name another in database.url"
        ))
    }
}
