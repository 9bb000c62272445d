//! `wasaga.mail`: what arrives for a saga from outside its lease. Whoever sends a piece counts it on the saga's row
//! in the same transaction, or finds the saga final.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sqlx::{Row, postgres::PgRow, types::Json};
use uuid::Uuid;
use wasaga_domain::{
    ids::{Digest, SagaId},
    mail::{Audit, Mail, MailContent, Verb},
    message::Message,
    payload::Payload,
    state::Status,
};

use crate::{Store, StoreError, headers};

/// What became of a request to a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It will be seen; the status is that of before.
    Accepted(Status),
    /// The saga is past its pivot, and can't be cancelled.
    PastPivot(Status),
    /// Nothing can reach the saga any more.
    Final(Status),
    /// There is no such saga.
    NotFound,
    /// It names a module that there is not.
    NoModule(Digest),
}

impl Store {
    /// Asks something of a saga.
    pub async fn saga_ask(
        &self,
        saga: SagaId,
        verb: &Verb,
        by: &Audit,
    ) -> Result<Posted, StoreError> {
        if let Verb::Retry { module: Some(module), .. } = verb
            && !self.module_exists(*module).await?
        {
            return Ok(Posted::NoModule(*module));
        }
        let content = Json(json!({ "verb": verb, "by": by }));
        self.saga_post(saga, "verb", None, content, *verb == Verb::Cancel).await
    }

    /// Asks the same of many sagas, in one transaction; answers with those that will see it.
    pub async fn sagas_ask(
        &self,
        sagas: &[SagaId],
        verb: &Verb,
        by: &Audit,
    ) -> Result<Vec<SagaId>, StoreError> {
        let ids: Vec<Uuid> = sagas.iter().map(|id| id.0).collect();
        let asked: Vec<Uuid> =
            sqlx::query_scalar("select * from wasaga.post_all($1, 'verb', $2, $3)")
                .bind(&ids)
                .bind(Json(json!({ "verb": verb, "by": by })))
                .bind(*verb == Verb::Cancel)
                .fetch_all(&self.pool)
                .await?;
        Ok(asked.into_iter().map(SagaId).collect())
    }

    /// Sends a saga a signal.
    pub async fn saga_signal(
        &self,
        saga: SagaId,
        name: &str,
        payload: &Payload,
    ) -> Result<Posted, StoreError> {
        self.saga_post(saga, "signal", Some(name), Json(json!(payload)), false).await
    }

    async fn saga_post(
        &self,
        saga: SagaId,
        kind: &str,
        name: Option<&str>,
        content: Json<Value>,
        turns_back: bool,
    ) -> Result<Posted, StoreError> {
        let posted: Option<String> = sqlx::query_scalar("select wasaga.post($1, $2, $3, $4, $5)")
            .bind(saga.0)
            .bind(kind)
            .bind(name)
            .bind(content)
            .bind(turns_back)
            .fetch_one(&self.pool)
            .await?;
        if let Some(status) = posted {
            return Ok(Posted::Accepted(status_of(saga, &status)?));
        }
        let status: Option<String> = sqlx::query_scalar(
            "select status from (
                 select status, 0 as place from wasaga.sagas where id = $1
                 union all select status, 1 from wasaga.tombstones where id = $1 and until > now()
                 union all select status, 2 from wasaga.archived_sagas where id = $1) known
             order by place limit 1",
        )
        .bind(saga.0)
        .fetch_optional(&self.pool)
        .await?;
        let Some(status) = status else { return Ok(Posted::NotFound) };
        let status = status_of(saga, &status)?;
        Ok(if status.is_final() { Posted::Final(status) } else { Posted::PastPivot(status) })
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
    let kind: String = row.try_get("kind")?;
    let bad = |column: &'static str, reason: String| {
        StoreError::stored("wasaga.mail", column, format!("{saga} {number}"), reason)
    };
    let content = match kind.as_str() {
        "verb" => {
            let Asked { verb, by } = content(row, &bad)?;
            MailContent::Verb { verb, by }
        }
        "child" => MailContent::Child(content(row, &bad)?),
        "signal" => {
            MailContent::Signal { name: row.try_get("correlation")?, payload: content(row, &bad)? }
        }
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

/// What an operator asked for, as the table keeps it.
#[derive(Deserialize)]
struct Asked {
    verb: Verb,
    by: Audit,
}

fn content<T: DeserializeOwned>(
    row: &PgRow,
    bad: &impl Fn(&'static str, String) -> StoreError,
) -> Result<T, StoreError> {
    let content: Json<Value> = row.try_get("content")?;
    serde_json::from_value(content.0).map_err(|error| bad("content", error.to_string()))
}
