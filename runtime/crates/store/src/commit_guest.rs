//! The commit on a guest's own connection: its SQL and the transition it led to, or neither.

use sqlx::PgConnection;
use wasaga_domain::{ids::HostId, ports::GuestTransaction};

use crate::{
    Store, StoreError,
    commit::{Columns, Transition, Verdict, verdicts},
    guest_sql::GuestSqlTransaction,
};

const GUEST_COMMIT: &str = "select t, result, mail from wasaga_guest.sagas_commit($1, $2, $3, $4, $5, $6, $7, $8,
    $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30,
    $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44)";

impl Store {
    /// Commits one transition together with its guest's own SQL, or neither.
    pub async fn saga_commit_guest(
        &self,
        host: HostId,
        transition: &Transition,
        guest: Box<dyn GuestTransaction>,
    ) -> Result<Verdict, StoreError> {
        let token = self.commit_token().await?;
        let mut guest = GuestSqlTransaction::from_port(guest)?;
        let query = sqlx::query_as(GUEST_COMMIT).bind(token).bind(host.0);
        let query = Columns::new(std::slice::from_ref(transition)).bind(query);
        let connection: &mut PgConnection = guest.connection().await?;
        let verdict = verdicts(query, connection, 1).await?[0];
        if matches!(verdict, Verdict::Committed { .. }) {
            guest.commit().await?;
        }
        Ok(verdict)
    }

    /// Commits a guest's SQL alone: for whoever tries plugins, without sagas in the database.
    pub async fn guest_commit(&self, guest: Box<dyn GuestTransaction>) -> Result<(), StoreError> {
        let mut guest = GuestSqlTransaction::from_port(guest)?;
        guest.connection().await?;
        guest.commit().await
    }
}
