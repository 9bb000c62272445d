//! The sagas in flight that need a plugin: which of its steps they may still call or undo. `wasaga.steps_needed` knows.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use wasaga_domain::{
    ids::{Digest, PluginName, SagaId},
    ports::NewModule,
    swap::Change,
};

use crate::{Store, StoreError, saga_search::Cursor};

/// How many sagas a rejection names.
const NAMED: i64 = 10;

/// Some of the sagas that a change of a plugin's module touches, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TouchedPage {
    /// The sagas.
    pub sagas: Vec<TouchedSaga>,
    /// Where the next page begins; absent: this is the last one.
    #[serde(serialize_with = "as_text")]
    pub next: Option<Cursor>,
}

/// A saga in flight that a change of a plugin's module touches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TouchedSaga {
    /// Its id.
    pub saga_id: SagaId,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    pub version: i32,
    /// What it runs for.
    pub business_key: Option<String>,
    /// What its reader sees.
    pub status: String,
    /// The steps it works on now.
    pub current: Vec<String>,
    /// The steps of the plugin that it may still call or undo.
    pub needed: Vec<String>,
    /// Those of them that the module lacks.
    pub missing: Vec<String>,
}

/// How many sagas of a kind a change touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct TouchedCount {
    /// Their definition's name.
    pub definition: String,
    /// Their definition's version.
    pub version: i32,
    /// What their reader sees.
    pub status: String,
    /// How many there are.
    pub sagas: i64,
    /// How many of them need a step that the module lacks.
    pub lacking: i64,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    definition: String,
    version: i32,
    business_key: Option<String>,
    status: String,
    created_micros: i64,
    current: Vec<String>,
    needed: Vec<String>,
    missing: Vec<String>,
}

#[derive(FromRow)]
struct Lacking {
    id: Uuid,
    missing: Vec<String>,
    total: i64,
}

/// $1 is the plugin, $2 a module of it or null. A definition's steps are read before its sagas are.
const TOUCHED: &str = "
    from (
        select d.*, coalesce((select array(select jsonb_array_elements_text(m.manifest -> 'steps'))
            from wasaga.modules m where m.digest = $2), (
                select array_agg(step ->> 'name') from jsonb_array_elements(d.content -> 'steps') as step)) as has
        from wasaga.definitions d
        where exists (select from jsonb_array_elements(d.content -> 'steps') as step
            where coalesce(step ->> 'worker', d.plugin) = $1)
    ) as d
    join wasaga.sagas s on s.definition = d.name and s.version = d.version and not s.ended
    cross join lateral (select wasaga.steps_needed($1, d.plugin, d.content, s.state, false) as needed) as n
    cross join lateral (select array(select unnest(n.needed) except select unnest(d.has)) as missing) as l
    where cardinality(n.needed) > 0";

impl Store {
    /// Up to `limit` of the sagas in flight that a change of this plugin's module touches, from where the page before
    /// ended; with a module, what they would miss of it.
    pub async fn sagas_touched(
        &self,
        plugin: &PluginName,
        module: Option<Digest>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<TouchedPage, StoreError> {
        let after = after.unwrap_or(Cursor::NEWEST);
        let page = format!(
            "select s.id, s.definition, s.version, s.business_key, s.status, n.needed, l.missing,
                 (extract(epoch from s.created_at) * 1000000)::bigint as created_micros,
                 array(select d.content #>> array['steps', open ->> 'step', 'name'] from jsonb_array_elements(
                     case jsonb_typeof(s.state -> 'open') when 'array' then s.state -> 'open' else '[]' end) as open
                 ) as current
             {TOUCHED}
               and (s.created_at, s.id) < (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4::uuid)
             order by s.created_at desc, s.id desc limit $5"
        );
        let mut rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(page))
            .bind(plugin.as_str())
            .bind(module.as_ref().map(|digest| &digest.0[..]))
            .bind(after.micros)
            .bind(after.id)
            .bind(limit as i64 + 1)
            .fetch_all(&self.pool)
            .await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next = last.map(|row| Cursor { micros: row.created_micros, id: row.id });
        Ok(TouchedPage { sagas: rows.into_iter().map(TouchedSaga::from).collect(), next })
    }

    /// How many sagas in flight a change of this plugin's module touches, by definition, version and status.
    pub async fn sagas_touched_count(
        &self,
        plugin: &PluginName,
        module: Option<Digest>,
    ) -> Result<Vec<TouchedCount>, StoreError> {
        let count = format!(
            "select s.definition, s.version, s.status, count(*) as sagas,
                 count(*) filter (where cardinality(l.missing) > 0) as lacking
             {TOUCHED} group by 1, 2, 3 order by 1, 2, 3"
        );
        let counts = sqlx::query_as(sqlx::AssertSqlSafe(count))
            .bind(plugin.as_str())
            .bind(module.as_ref().map(|digest| &digest.0[..]))
            .fetch_all(&self.pool)
            .await?;
        Ok(counts)
    }

    /// The sagas in flight that call this plugin, in a few words.
    pub(crate) async fn plugin_needed(
        &self,
        plugin: &PluginName,
    ) -> Result<Option<String>, StoreError> {
        let page = self.sagas_touched(plugin, None, None, NAMED as usize).await?;
        let counts = self.sagas_touched_count(plugin, None).await?;
        let total = counts.iter().map(|count| count.sagas).sum();
        let ids: Vec<_> = page.sagas.iter().map(|saga| saga.saga_id.0).collect();
        Ok((total > 0).then(|| named(&ids, total)))
    }
}

impl From<Row> for TouchedSaga {
    fn from(row: Row) -> Self {
        Self {
            saga_id: SagaId(row.id),
            definition: row.definition,
            version: row.version,
            business_key: row.business_key,
            status: row.status,
            current: row.current,
            needed: row.needed,
            missing: row.missing,
        }
    }
}

/// Why the sagas in flight stand against this change of the module; nothing where they don't.
pub(crate) async fn lacking(
    connection: &mut PgConnection,
    module: &NewModule,
    change: &Change,
) -> Result<Option<String>, StoreError> {
    let NewModule { manifest, digest, .. } = module;
    // Definitions first: where none names a step that the module lacks, no saga is looked at.
    let rows: Vec<Lacking> = sqlx::query_as(
        "select s.id, l.missing, count(*) over () as total
         from wasaga.definitions d
         join wasaga.sagas s on s.definition = d.name and s.version = d.version and not s.ended
         cross join lateral (select array(
             select unnest(wasaga.steps_needed($1, d.plugin, d.content, s.state, $3)) except select unnest($2)) as missing
         ) as l
         where exists (select from jsonb_array_elements(d.content -> 'steps') as step
                 where coalesce(step ->> 'worker', d.plugin) = $1 and step ->> 'name' <> all ($2))
           and cardinality(l.missing) > 0
         order by s.created_at desc, s.id desc limit $4",
    )
    .bind(manifest.name.as_str())
    .bind(&manifest.steps)
    .bind(matches!(change, Change::UndoTakenOver))
    .bind(NAMED)
    .fetch_all(connection)
    .await?;
    let Some(total) = rows.first().map(|row| row.total) else { return Ok(None) };
    let mut missing: Vec<_> = rows.iter().flat_map(|row| &row.missing).cloned().collect();
    missing.sort_unstable();
    missing.dedup();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let (sagas, missing) = (named(&ids, total), missing.join(", "));
    Ok(Some(format!(
        "plugin {name} {version} ({digest}) has no step {missing}, which {sagas} may still call or undo: bring back what \
         is missing, let these sagas end or move them (`wasaga saga migrate`), or force the change (`wasaga plugins \
         activate --force`), after which they wait for a module that has it",
        name = manifest.name,
        version = manifest.version,
    )))
}

/// So many sagas, the first of them by name.
fn named(ids: &[Uuid], total: i64) -> String {
    let names = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ");
    let sagas = if total == 1 { "saga" } else { "sagas" };
    match total - ids.len() as i64 {
        0 => format!("{total} {sagas} in flight ({names})"),
        more => format!("{total} {sagas} in flight ({names} and {more} more)"),
    }
}

#[allow(clippy::ref_option, reason = "serde hands over the field")]
fn as_text<S: serde::Serializer>(next: &Option<Cursor>, to: S) -> Result<S::Ok, S::Error> {
    next.map(|next| next.to_string()).serialize(to)
}
