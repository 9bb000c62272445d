//! `wasaga.sagas`: leases. A claim takes the next epoch, so that whoever held the saga before commits nothing more.

use std::collections::HashMap;

use serde_json::value::RawValue;
use sqlx::{FromRow, types::Json};
use tracing::error;
use uuid::Uuid;
use wasaga_domain::{
    ids::{Digest, HostId, SagaId},
    journal::EntryKind,
    mail::Mail,
    payload::Payload,
    state::State,
};

use crate::{Store, StoreError, mail::mail_of};

/// A saga whose lease was taken.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its id.
    pub id: SagaId,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    pub version: u32,
    /// What it runs for.
    pub business_key: Option<String>,
    /// For its idempotency keys.
    pub nonce: u32,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Its input.
    pub input: Payload,
    /// Whether another saga started it as its child.
    pub child: bool,
    /// The lease's epoch.
    pub epoch: i64,
    /// Journal entries so far.
    pub sequence: i32,
    /// Leases in a row that were lost with their host.
    pub interruptions: u16,
    /// The number of the last piece of mail.
    pub mail: i64,
    /// Where it stands.
    pub state: State,
}

/// What a step left, as the ledger takes it up.
#[derive(Clone, Debug)]
pub struct LedgerRow {
    /// The saga.
    pub saga: SagaId,
    /// The entry's kind.
    pub kind: EntryKind,
    /// The step's name.
    pub step: String,
    /// Whether it went forward.
    pub forward: bool,
    /// What the step returned.
    pub output: Option<Payload>,
    /// What its undo needs.
    pub undo: Option<Payload>,
    /// What a wait is handed back.
    pub memo: Option<Payload>,
    /// The code that ran.
    pub digest: Option<Digest>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    definition: String,
    version: i32,
    business_key: Option<String>,
    nonce: i64,
    traceparent: Option<String>,
    input_type: String,
    input: Vec<u8>,
    child: bool,
    epoch: i64,
    sequence: i32,
    interruptions: i16,
    mail: i64,
    state: Json<Box<RawValue>>,
}

/// The columns of [`Row`], of the row that `update … as saga` returns.
macro_rules! claim {
    ($due:literal, $set:literal) => {
        concat!(
            "with due as materialized (", $due, ")
             update wasaga.sagas saga set host_id = $1, epoch = saga.epoch + 1, ready_at = null", $set, "
             from due where saga.id = due.id
               and exists (select from wasaga.hosts where id = $1 and lease_until > now())
             returning saga.id, definition, version, business_key, nonce, traceparent, input_type, input,
                 parent_id is not null as child, epoch, sequence, interruptions, mail, state"
        )
    };
}

// Of many sagas a host takes its share: see `wasaga.hosts_share`.
impl Store {
    /// Takes the leases of up to `limit` sagas that are ready: mail woke them, or they were released.
    pub async fn sagas_claim_ready(
        &self,
        host: HostId,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let sql = claim!(
            "select id from wasaga.sagas where ready_at is not null order by ready_at
             limit wasaga.hosts_share($2, (select count(*) from
                 (select from wasaga.sagas where ready_at is not null limit 2 * $2) as ready))
             for no key update skip locked",
            ""
        );
        self.claim(sql, host, limit).await
    }

    /// Takes the leases of up to `limit` sagas whose timer is due.
    pub async fn sagas_claim_due(
        &self,
        host: HostId,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let sql = claim!(
            "select sagas.id from wasaga.timers join wasaga.sagas on sagas.id = timers.saga_id
             where timers.due_at <= now() and sagas.host_id is null order by timers.due_at
             limit wasaga.hosts_share($2, (select count(*) from
                 (select from wasaga.timers where due_at <= now() limit 2 * $2) as due))
             for no key update of sagas skip locked",
            ""
        );
        self.claim(sql, host, limit).await
    }

    /// Takes the leases of up to `limit` sagas whose host is gone, counting an interruption each.
    pub async fn sagas_claim_lost(
        &self,
        host: HostId,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let sql = claim!(
            "select id from wasaga.sagas
             where host_id is not null
               and host_id not in (select id from wasaga.hosts where lease_until > now())
             limit wasaga.hosts_share($2, (select count(*) from (select from wasaga.sagas where host_id is not null
                 and host_id not in (select id from wasaga.hosts where lease_until > now()) limit 2 * $2) as lost))
             for no key update skip locked",
            ", interruptions = saga.interruptions + 1"
        );
        self.claim(sql, host, limit).await
    }

    async fn claim(
        &self,
        sql: &'static str,
        host: HostId,
        limit: usize,
    ) -> Result<Vec<Claimed>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as(sql).bind(host.0).bind(limit as i64).fetch_all(&self.pool).await?;
        let (mut readable, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let (id, epoch) = (SagaId(row.id), row.epoch);
            match claimed(row) {
                Ok(saga) => readable.push(saga),
                Err(error) => unreadable.push((id, epoch, error.to_string())),
            }
        }
        if !unreadable.is_empty() {
            self.sagas_set_aside(host, &unreadable).await?;
        }
        Ok(readable)
    }

    /// Gives the leases of sagas back whose rows can't be read, each for this reason: they ask for an operator.
    pub async fn sagas_set_aside(
        &self,
        host: HostId,
        sagas: &[(SagaId, i64, String)],
    ) -> Result<(), StoreError> {
        for (saga, _, reason) in sagas {
            error!(%saga, reason, "a saga cannot be read: it asks for an operator");
        }
        sqlx::query(
            "with held as (
                 select s.id, lease.reason from unnest($2::uuid[], $3::bigint[], $4::text[]) as lease (id, epoch, reason)
                 join wasaga.sagas s on s.id = lease.id
                 where s.host_id = $1 and s.epoch = lease.epoch
                 order by s.id for no key update of s
             ), aside as (
                 update wasaga.sagas saga
                 set host_id = null, interruptions = 0, status = 'needs_attention', sequence = saga.sequence + 1,
                     updated_at = now()
                 from held where saga.id = held.id
                 returning saga.id, saga.sequence, held.reason
             ), untimed as (
                 delete from wasaga.timers where saga_id in (select id from aside)
             )
             insert into wasaga.journal (saga_id, number, kind, direction, attempt, started_at, at, error)
             select id, sequence, 'needs_attention', 'forward', 0, now(), now(),
                 jsonb_build_object('code', 'unreadable', 'message', reason)
             from aside",
        )
        .bind(host.0)
        .bind(sagas.iter().map(|(saga, ..)| saga.0).collect::<Vec<_>>())
        .bind(sagas.iter().map(|(_, epoch, _)| *epoch).collect::<Vec<_>>())
        .bind(sagas.iter().map(|(.., reason)| reason.as_str()).collect::<Vec<_>>())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives leases back: whoever is free goes on with these sagas at once.
    pub async fn sagas_release(
        &self,
        host: HostId,
        leases: &[(SagaId, i64)],
    ) -> Result<u64, StoreError> {
        let (ids, epochs): (Vec<Uuid>, Vec<i64>) =
            leases.iter().map(|(id, epoch)| (id.0, *epoch)).unzip();
        let released = sqlx::query(
            "update wasaga.sagas saga set host_id = null, ready_at = now(), interruptions = 0
             from (select s.id from unnest($2::uuid[], $3::bigint[]) as lease (id, epoch)
                   join wasaga.sagas s on s.id = lease.id
                   where s.host_id = $1 and s.epoch = lease.epoch
                   order by s.id for no key update of s) held
             where saga.id = held.id",
        )
        .bind(host.0)
        .bind(&ids)
        .bind(&epochs)
        .execute(&self.pool)
        .await?;
        Ok(released.rows_affected())
    }

    /// Gives leases back for half a minute: these sagas cannot go on yet, here or elsewhere.
    pub async fn sagas_put_off(
        &self,
        host: HostId,
        leases: &[(SagaId, i64)],
    ) -> Result<(), StoreError> {
        let (ids, epochs): (Vec<Uuid>, Vec<i64>) =
            leases.iter().map(|(id, epoch)| (id.0, *epoch)).unzip();
        sqlx::query(
            "with put_off as (
                 update wasaga.sagas saga set host_id = null, interruptions = 0
                 from (select s.id from unnest($2::uuid[], $3::bigint[]) as lease (id, epoch)
                       join wasaga.sagas s on s.id = lease.id
                       where s.host_id = $1 and s.epoch = lease.epoch
                       order by s.id for no key update of s) held
                 where saga.id = held.id
                 returning saga.id
             )
             insert into wasaga.timers (saga_id, due_at)
             select id, now() + interval '30 seconds' from put_off
             on conflict (saga_id) do update set due_at = excluded.due_at",
        )
        .bind(host.0)
        .bind(&ids)
        .bind(&epochs)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The leases of a host, as the database has them.
    pub async fn sagas_leased(&self, host: HostId) -> Result<Vec<(SagaId, i64)>, StoreError> {
        let rows: Vec<(Uuid, i64)> =
            sqlx::query_as("select id, epoch from wasaga.sagas where host_id = $1")
                .bind(host.0)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(id, epoch)| (SagaId(id), epoch)).collect())
    }

    /// The number of each saga's last piece of mail.
    pub async fn sagas_mail(&self, sagas: &[SagaId]) -> Result<Vec<(SagaId, i64)>, StoreError> {
        let ids: Vec<Uuid> = sagas.iter().map(|id| id.0).collect();
        let rows: Vec<(Uuid, i64)> =
            sqlx::query_as("select id, mail from wasaga.sagas where id = any ($1)")
                .bind(&ids)
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(id, mail)| (SagaId(id), mail)).collect())
    }

    /// What the steps of these sagas have left, in the journal's order.
    pub async fn ledger_load(&self, sagas: &[SagaId]) -> Result<Vec<LedgerRow>, StoreError> {
        type Columns = (
            Uuid,
            String,
            String,
            bool,
            Option<String>,
            Option<Vec<u8>>,
            Option<String>,
            Option<Vec<u8>>,
            Option<String>,
            Option<Vec<u8>>,
            Option<Vec<u8>>,
        );
        let ids: Vec<Uuid> = sagas.iter().map(|id| id.0).collect();
        let rows: Vec<Columns> = sqlx::query_as(
            "select saga_id, kind, step, direction = 'forward', output_type, output, undo_type, undo, memo_type, memo,
                 digest
             from wasaga.journal
             where saga_id = any ($1) and kind in ('succeeded', 'waiting', 'undo_supplied') and step is not null
             order by saga_id, number",
        )
        .bind(&ids)
        .fetch_all(&self.pool)
        .await?;
        let row = |(
            saga,
            kind,
            step,
            forward,
            output_type,
            output,
            undo_type,
            undo,
            memo_type,
            memo,
            digest,
        ): Columns| {
            let kind = EntryKind::parse(&kind)
                .ok_or_else(|| StoreError::stored("wasaga.journal", "kind", saga, &kind))?;
            Ok(LedgerRow {
                saga: SagaId(saga),
                kind,
                step,
                forward,
                output: payload(output_type, output),
                undo: payload(undo_type, undo),
                memo: payload(memo_type, memo),
                digest: digest.and_then(|bytes| bytes.try_into().ok()).map(Digest),
            })
        };
        rows.into_iter().map(row).collect()
    }

    /// The mail of these sagas past the number given with each, by saga, in the order of its numbers.
    pub async fn mail_load(
        &self,
        sagas: &[(SagaId, i64)],
    ) -> Result<HashMap<SagaId, Vec<Mail>>, StoreError> {
        let (ids, seen): (Vec<Uuid>, Vec<i64>) =
            sagas.iter().map(|(id, seen)| (id.0, *seen)).unzip();
        let rows = sqlx::query(
            "select mail.saga_id, mail.number, mail.kind, mail.step, mail.correlation, mail.topic, mail.key,
                 mail.headers, mail.value, mail.content
             from unnest($1::uuid[], $2::bigint[]) as seen (id, number)
             join wasaga.mail on mail.saga_id = seen.id and mail.number > seen.number
             order by mail.saga_id, mail.number",
        )
        .bind(&ids)
        .bind(&seen)
        .fetch_all(&self.pool)
        .await?;
        let mut mail: HashMap<SagaId, Vec<Mail>> = HashMap::new();
        for row in &rows {
            let (saga, piece) = mail_of(row)?;
            mail.entry(saga).or_default().push(piece);
        }
        Ok(mail)
    }
}

fn claimed(row: Row) -> Result<Claimed, StoreError> {
    let unfit =
        |column| move |_| StoreError::stored("wasaga.sagas", column, row.id, "out of range");
    Ok(Claimed {
        id: SagaId(row.id),
        version: u32::try_from(row.version).map_err(unfit("version"))?,
        nonce: u32::try_from(row.nonce).map_err(unfit("nonce"))?,
        interruptions: u16::try_from(row.interruptions).map_err(unfit("interruptions"))?,
        definition: row.definition,
        business_key: row.business_key,
        traceparent: row.traceparent,
        input: Payload::new(row.input_type, row.input),
        child: row.child,
        epoch: row.epoch,
        sequence: row.sequence,
        mail: row.mail,
        state: serde_json::from_str(row.state.0.get())
            .map_err(|error| StoreError::stored("wasaga.sagas", "state", row.id, error))?,
    })
}

fn payload(content_type: Option<String>, data: Option<Vec<u8>>) -> Option<Payload> {
    Some(Payload::new(content_type?, data?))
}
