//! What became of a saga, with all that its calls were told: for replays.

use serde_json::value::RawValue;
use sqlx::{FromRow, types::Json};
use wasaga_domain::{
    clock::UnixMillis,
    http::{HttpCall, HttpExchange},
    ids::{PluginName, SagaId},
    mail::Mail,
    payload::Payload,
    state::State,
};

use crate::{
    Store, StoreError,
    mail::mail_of,
    saga_read::{JournalRow, shown},
};

/// A saga's past.
#[derive(Clone, Debug)]
pub struct SagaPast {
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
    /// Where it stands.
    pub state: State,
    /// In order.
    pub journal: Vec<JournalRow>,
    /// In order, each with when it came.
    pub mail: Vec<(UnixMillis, Mail)>,
    /// What its calls' requests came to, in order, as far as that is recorded.
    pub requests: Vec<(HttpCall, HttpExchange)>,
}

#[derive(FromRow)]
struct Row {
    definition: String,
    version: i32,
    business_key: Option<String>,
    nonce: i64,
    traceparent: Option<String>,
    input_type: String,
    input: Vec<u8>,
    state: Json<Box<RawValue>>,
}

impl Store {
    /// The past of a saga that has not been archived.
    pub async fn saga_past(&self, id: SagaId) -> Result<Option<SagaPast>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "select definition, version, business_key, nonce, traceparent, input_type, input, state
             from wasaga.sagas where id = $1",
        )
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let unfit = |column, why: &dyn ToString| {
            StoreError::stored("wasaga.sagas", column, id, why.to_string())
        };
        let mail = sqlx::query(
            "select saga_id, number, kind, step, correlation, topic, key, headers, value, content,
                 wasaga.millis(created_at) as created_ms
             from wasaga.mail where saga_id = $1 order by number",
        )
        .bind(id.0)
        .fetch_all(&self.pool)
        .await?;
        let piece = |row: &sqlx::postgres::PgRow| {
            let created: i64 = sqlx::Row::try_get(row, "created_ms")?;
            mail_of(row).map(|(_, piece)| (UnixMillis(created), piece))
        };
        Ok(Some(SagaPast {
            id,
            version: u32::try_from(row.version).map_err(|error| unfit("version", &error))?,
            nonce: u32::try_from(row.nonce).map_err(|error| unfit("nonce", &error))?,
            definition: row.definition,
            business_key: row.business_key,
            traceparent: row.traceparent,
            input: Payload::new(row.input_type, row.input),
            state: shown(&row.state.0),
            journal: self.journal_list(id).await?,
            mail: mail.iter().map(piece).collect::<Result<_, StoreError>>()?,
            requests: self.http_record_of(id).await?,
        }))
    }

    /// The definitions that have steps of this plugin, by name.
    pub async fn definitions_of_worker(
        &self,
        plugin: &PluginName,
    ) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar(
            "select distinct name from wasaga.definitions
             where exists (select from jsonb_array_elements(content -> 'steps') as step
                 where coalesce(step ->> 'worker', plugin) = $1)
             order by name",
        );
        Ok(names.bind(plugin.as_str()).fetch_all(&self.pool).await?)
    }
}
