//! `wasaga.sagas`, first half of a life: one insert, already leased to the host that took the start.

use bytes::Bytes;
use sqlx::types::Json;
use uuid::Uuid;
use wasaga_domain::{ids::HostId, start::NewSaga, state::Status};

use crate::{Store, StoreError};

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// It is new, and leased to the caller with epoch 1 at sequence 0.
    New,
    /// There is a saga of this id already, or was one whose tombstone stands.
    Existing {
        /// Its status now.
        status: Status,
        /// Whether it was started with the same input.
        same_input: bool,
    },
}

impl Store {
    /// Starts sagas in one transaction, an answer each, in the order given. The second of two with one id in a batch
    /// is answered with the first.
    pub async fn sagas_start(
        &self,
        host: HostId,
        sagas: &[NewSaga],
    ) -> Result<Vec<Started>, StoreError> {
        let column = |value: fn(&NewSaga) -> &str| sagas.iter().map(value).collect::<Vec<_>>();
        let ids: Vec<Uuid> = sagas.iter().map(|saga| saga.id.0).collect();
        // In the order of their ids: two batches with the same keys do not wait for each other.
        let created: Vec<Uuid> = sqlx::query_scalar(
            "with created as (
                 insert into wasaga.sagas (id, definition, version, business_key, nonce, traceparent, input_type,
                     input, host_id, epoch, status, state)
                 select id, definition, version, business_key, nonce, traceparent, input_type, input, $1, 1, 'pending',
                     state
                 from unnest($2::uuid[], $3::text[], $4::int[], $5::text[], $6::bigint[], $7::text[], $8::text[],
                     $9::bytea[], $10::jsonb[]) with ordinality
                     as n (id, definition, version, business_key, nonce, traceparent, input_type, input, state, place)
                 where not exists (select from wasaga.tombstones t where t.id = n.id and t.until > now())
                 order by id, place
                 on conflict (id) do nothing
                 returning id
             )
             select wasaga.ungraved(array(select id from created))",
        )
        .bind(host.0)
        .bind(&ids)
        .bind(column(|saga| &saga.definition))
        .bind(sagas.iter().map(|saga| saga.version as i32).collect::<Vec<_>>())
        .bind(sagas.iter().map(|saga| saga.business_key.as_deref()).collect::<Vec<_>>())
        .bind(sagas.iter().map(|saga| i64::from(saga.nonce)).collect::<Vec<_>>())
        .bind(sagas.iter().map(|saga| saga.traceparent.as_deref()).collect::<Vec<_>>())
        .bind(column(|saga| &saga.input.content_type))
        .bind(sagas.iter().map(|saga| &saga.input.data[..]).collect::<Vec<_>>())
        .bind(sagas.iter().map(|saga| Json(&saga.state)).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        if created.len() == sagas.len() {
            return Ok(vec![Started::New; sagas.len()]);
        }
        self.sagas_started(sagas, created).await
    }

    async fn sagas_started(
        &self,
        sagas: &[NewSaga],
        mut created: Vec<Uuid>,
    ) -> Result<Vec<Started>, StoreError> {
        let ids: Vec<Uuid> = sagas.iter().map(|saga| saga.id.0).collect();
        let existing: Vec<(Uuid, i64, String, Vec<u8>)> =
            sqlx::query_as("select id, nonce, status, input from wasaga.sagas where id = any ($1)")
                .bind(&ids)
                .fetch_all(&self.pool)
                .await?;
        let graves = self.tombstones_of(sagas).await?;
        let answer = |(saga, grave): (&NewSaga, (Option<String>, Option<bool>))| {
            if let Some(place) = created.iter().position(|id| *id == saga.id.0) {
                created.swap_remove(place);
                return Ok(Started::New);
            }
            if let (Some(status), Some(same_input)) = grave {
                return Ok(Started::Existing { status: status_of(saga, &status)?, same_input });
            }
            let row = existing.iter().find(|(id, ..)| *id == saga.id.0);
            let (_, nonce, status, input) = row.ok_or_else(|| {
                StoreError::stored("wasaga.sagas", "id", saga.id, "gone while it was started again")
            })?;
            // A start whose answer was cut off, and which was tried again, is the caller's own.
            if *nonce == i64::from(saga.nonce) {
                return Ok(Started::New);
            }
            let same_input = saga.input.data == Bytes::copy_from_slice(input);
            Ok(Started::Existing { status: status_of(saga, status)?, same_input })
        };
        sagas.iter().zip(graves).map(answer).collect()
    }

    /// For each of these sagas, if it is gone, how it ended, and whether it had the same input.
    async fn tombstones_of(
        &self,
        sagas: &[NewSaga],
    ) -> Result<Vec<(Option<String>, Option<bool>)>, StoreError> {
        let rows = sqlx::query_as(
            "select t.status, t.digest = wasaga.input_digest(n.input_type, n.input)
             from unnest($1::uuid[], $2::text[], $3::bytea[]) with ordinality as n (id, input_type, input, place)
             left join wasaga.tombstones t on t.id = n.id and t.until > now()
             order by n.place",
        )
        .bind(sagas.iter().map(|saga| saga.id.0).collect::<Vec<_>>())
        .bind(sagas.iter().map(|saga| saga.input.content_type.as_ref()).collect::<Vec<_>>())
        .bind(sagas.iter().map(|saga| &saga.input.data[..]).collect::<Vec<_>>());
        Ok(rows.fetch_all(&self.pool).await?)
    }
}

fn status_of(saga: &NewSaga, status: &str) -> Result<Status, StoreError> {
    Status::parse(status)
        .ok_or_else(|| StoreError::stored("wasaga.sagas", "status", saga.id, format!("{status:?}")))
}
