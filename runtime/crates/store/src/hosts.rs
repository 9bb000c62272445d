//! `wasaga.hosts`: who lives. A lease is a host's; it ends with the host's row, by the database's clock.

use std::time::Duration;

use wasaga_domain::ids::HostId;

use crate::{Store, StoreError};

impl Store {
    /// Registers a new life of a host, whose leases are good for `lease` from now.
    pub async fn host_register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError> {
        self.register(name, version, lease, true).await
    }

    /// The same for a relay that runs without a host: it takes no share of sagas and in tasks.
    pub async fn relay_register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError> {
        self.register(name, version, lease, false).await
    }

    async fn register(
        &self,
        name: &str,
        version: &str,
        lease: Duration,
        works: bool,
    ) -> Result<HostId, StoreError> {
        let id = sqlx::query_scalar(
            "insert into wasaga.hosts (name, version, works, lease_until)
             values ($1, $2, $4, now() + $3 * interval '1 millisecond') returning id",
        )
        .bind(name)
        .bind(version)
        .bind(lease.as_millis() as i64)
        .bind(works)
        .fetch_one(&self.pool)
        .await?;
        Ok(HostId(id))
    }

    /// Prolongs a host's leases to `lease` from now; false when they have ended already, and with them all it held.
    pub async fn host_beat(&self, host: HostId, lease: Duration) -> Result<bool, StoreError> {
        let beaten = sqlx::query(
            "update wasaga.hosts set lease_until = now() + $2 * interval '1 millisecond'
             where id = $1 and lease_until > now()",
        )
        .bind(host.0)
        .bind(lease.as_millis() as i64)
        .execute(&self.pool)
        .await?;
        Ok(beaten.rows_affected() == 1)
    }

    /// Ends a host's leases: what it still holds is free for others at once.
    pub async fn host_leave(&self, host: HostId) -> Result<(), StoreError> {
        sqlx::query("delete from wasaga.hosts where id = $1")
            .bind(host.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets hosts whose leases ended long ago.
    pub async fn hosts_forget(&self) -> Result<u64, StoreError> {
        let forgotten =
            sqlx::query("delete from wasaga.hosts where lease_until < now() - interval '1 hour'")
                .execute(&self.pool)
                .await?;
        Ok(forgotten.rows_affected())
    }
}
