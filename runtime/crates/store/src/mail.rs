//! `wasaga.mail`: what arrives for a saga from outside its lease. Whoever sends a piece counts it on the saga's row
//! in the same transaction, or finds the saga final.

use serde_json::Value;
use sqlx::{Row, postgres::PgRow, types::Json};
use uuid::Uuid;
use wasaga_domain::{
    ids::SagaId,
    mail::{Mail, MailContent},
    message::Message,
    state::Status,
};

use crate::{Store, StoreError, headers};

/// What became of a request to a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It will be seen; the status is that of before.
    Accepted(Status),
    /// Nothing can reach the saga any more.
    Final(Status),
    /// There is no such saga.
    NotFound,
}

impl Store {
    /// Asks a saga to turn back.
    pub async fn saga_cancel(&self, saga: SagaId, reason: &str) -> Result<Posted, StoreError> {
        self.saga_request(saga, "cancel", reason).await
    }

    /// Asks a saga to go on now.
    pub async fn saga_resume(&self, saga: SagaId, reason: &str) -> Result<Posted, StoreError> {
        self.saga_request(saga, "resume", reason).await
    }

    async fn saga_request(
        &self,
        saga: SagaId,
        kind: &str,
        reason: &str,
    ) -> Result<Posted, StoreError> {
        let posted: Option<String> = sqlx::query_scalar(
            "with saga as (
                 update wasaga.sagas set mail = mail + 1,
                     ready_at = case when host_id is null then coalesce(ready_at, now()) end
                 where id = $1 and status not in ('completed', 'compensated', 'failed')
                 returning id, mail, status
             ), posted as (
                 insert into wasaga.mail (saga_id, number, kind, reason) select id, mail, $2, $3 from saga
             )
             select status from saga",
        )
        .bind(saga.0)
        .bind(kind)
        .bind(reason)
        .fetch_optional(&self.pool)
        .await?;
        if let Some(status) = posted {
            return Ok(Posted::Accepted(status_of(saga, &status)?));
        }
        let status: Option<String> =
            sqlx::query_scalar("select status from wasaga.sagas where id = $1")
                .bind(saga.0)
                .fetch_optional(&self.pool)
                .await?;
        status.map_or(Ok(Posted::NotFound), |status| Ok(Posted::Final(status_of(saga, &status)?)))
    }
}

fn status_of(saga: SagaId, status: &str) -> Result<Status, StoreError> {
    Status::parse(status)
        .ok_or_else(|| StoreError::stored("wasaga.sagas", "status", saga, format!("{status:?}")))
}

/// A row of `wasaga.mail`.
pub(crate) fn mail_of(row: &PgRow) -> Result<(SagaId, Mail), StoreError> {
    let saga = SagaId(row.try_get::<Uuid, _>("saga_id")?);
    let number: i64 = row.try_get("number")?;
    let reason: Option<String> = row.try_get("reason")?;
    let kind: String = row.try_get("kind")?;
    let bad = |column: &'static str, reason: String| {
        StoreError::stored("wasaga.mail", column, format!("{saga} {number}"), reason)
    };
    let content = match kind.as_str() {
        "cancel" => MailContent::Cancel { reason: reason.unwrap_or_default() },
        "resume" => MailContent::Resume { reason: reason.unwrap_or_default() },
        "reply" => MailContent::Reply {
            step: row
                .try_get::<i16, _>("step")?
                .try_into()
                .map_err(|_| bad("step", "negative".into()))?,
            correlation: row.try_get("correlation")?,
            message: Message {
                topic: row.try_get("topic")?,
                key: row.try_get::<Option<Vec<u8>>, _>("key")?.map(Into::into),
                headers: headers::from_json(&row.try_get::<Json<Value>, _>("headers")?.0)
                    .map_err(|reason| bad("headers", reason))?,
                value: row.try_get::<Option<Vec<u8>>, _>("value")?.map(Into::into),
            },
        },
        other => return Err(bad("kind", format!("{other:?}"))),
    };
    Ok((saga, Mail { number, content }))
}
