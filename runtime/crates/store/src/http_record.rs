//! `wasaga.http_record`: what plugins' requests came to, for replays.

use async_trait::async_trait;
use sqlx::{FromRow, types::Json};
use wasaga_domain::{
    http::{HttpCall, HttpError, HttpExchange, HttpResponse},
    ids::SagaId,
    ports::HttpRecord,
};

use crate::{Store, StoreError, headers};

#[async_trait]
impl HttpRecord for Store {
    async fn keep(&self, call: &HttpCall, exchanges: &[HttpExchange]) -> Result<(), String> {
        self.http_record_add(call, exchanges).await.map_err(|error| error.to_string())
    }
}

#[derive(FromRow)]
struct Row {
    key: String,
    attempt: i32,
    method: String,
    url: String,
    body: Option<Vec<u8>>,
    status: Option<i32>,
    headers: Json<serde_json::Value>,
    answer: Option<Vec<u8>>,
    error: Option<String>,
    detail: Option<String>,
}

impl Store {
    /// An attempt that was called again after its host was lost is recorded as it went last.
    async fn http_record_add(
        &self,
        call: &HttpCall,
        exchanges: &[HttpExchange],
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query(
            "delete from wasaga.http_record where saga_id = $1 and key = $2 and attempt = $3",
        )
        .bind(call.saga.0)
        .bind(&call.key)
        .bind(call.attempt.cast_signed())
        .execute(&mut *tx)
        .await?;
        for (number, exchange) in (1_i32..).zip(exchanges) {
            let answer = exchange.answer.as_ref();
            let error = answer.err();
            let headers = answer.map(|answer| headers::to_json(&answer.headers));
            sqlx::query(
                "insert into wasaga.http_record
                     (saga_id, key, attempt, number, method, url, body, status, headers, answer, error, detail)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(call.saga.0)
            .bind(&call.key)
            .bind(call.attempt.cast_signed())
            .bind(number)
            .bind(&exchange.method)
            .bind(&exchange.url)
            .bind(exchange.body.as_deref())
            .bind(answer.ok().map(|answer| i32::from(answer.status)))
            .bind(Json(headers.unwrap_or_else(|_| serde_json::json!([]))))
            .bind(answer.ok().map(|answer| &answer.body[..]))
            .bind(error.map(kind))
            .bind(error.map(ToString::to_string))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// All that was recorded of a saga, in order.
    pub(crate) async fn http_record_of(
        &self,
        saga: SagaId,
    ) -> Result<Vec<(HttpCall, HttpExchange)>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "select key, attempt, method, url, body, status, headers, answer, error, detail
             from wasaga.http_record where saga_id = $1 order by key, attempt, number",
        )
        .bind(saga.0)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| row.exchange(saga)).collect()
    }
}

impl Row {
    fn exchange(self, saga: SagaId) -> Result<(HttpCall, HttpExchange), StoreError> {
        let place = format!("{saga} {} {}", self.key, self.attempt);
        let unfit =
            |column, why: String| StoreError::stored("wasaga.http_record", column, &place, why);
        let number = |column, number: Option<i32>| {
            let number = number.and_then(|number| u16::try_from(number).ok());
            number.ok_or_else(|| unfit(column, "must be a small number".into()))
        };
        let detail = self.detail.unwrap_or_default();
        let answer = match self.error.as_deref() {
            None => Ok(HttpResponse {
                status: number("status", self.status)?,
                headers: headers::from_json(&self.headers.0)
                    .map_err(|why| unfit("headers", why))?,
                body: self.answer.unwrap_or_default().into(),
            }),
            Some("not-sent") => Err(HttpError::NotSent(detail)),
            Some("too-large") => Err(HttpError::TooLarge(0)),
            Some(_) => Err(HttpError::MaybeSent(detail)),
        };
        let attempt =
            u32::try_from(self.attempt).map_err(|why| unfit("attempt", why.to_string()))?;
        let call = HttpCall { saga, key: self.key, attempt };
        let body = self.body.map(Into::into);
        Ok((call, HttpExchange { method: self.method, url: self.url, body, answer }))
    }
}

/// As the column has it; one that was denied was not sent.
fn kind(error: &HttpError) -> &'static str {
    match error {
        HttpError::Denied(_) | HttpError::NotSent(_) => "not-sent",
        HttpError::MaybeSent(_) => "maybe-sent",
        HttpError::TooLarge(_) => "too-large",
    }
}
