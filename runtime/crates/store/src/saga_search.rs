//! `wasaga.sagas` by what they are: newest first, page by page. Where no index decides, a page looks at a bounded
//! number of sagas, and its cursor goes on from there: a search costs the same whatever it finds.

use std::{fmt, str::FromStr};

use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, FromRow, types::Json};
use uuid::Uuid;
use wasaga_domain::{
    clock::UnixMillis,
    ids::SagaId,
    search::SagaFilter,
    state::{State, Status},
};

use crate::{Store, StoreError, saga_read::shown};

/// How many sagas a page looks at, at most.
pub const LOOKS: i64 = 10_000;

/// A place among sagas: the start's time in microseconds, and the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) micros: i64,
    pub(crate) id: Uuid,
}

impl Cursor {
    /// Before the newest; in the year 2255.
    pub(crate) const NEWEST: Self = Self { micros: 9_000_000_000_000_000, id: Uuid::max() };
    /// After the oldest.
    const OLDEST: Self = Self { micros: 0, id: Uuid::nil() };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.micros, self.id)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('.').ok_or(())?;
        let micros = micros.parse().map_err(|_| ())?;
        let within = (Self::OLDEST.micros..=Self::NEWEST.micros).contains(&micros);
        let id = id.parse().map_err(|_| ())?;
        if within { Ok(Self { micros, id }) } else { Err(()) }
    }
}

/// Some of the sagas that fit, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// They may be fewer than were asked for, even none, where others follow.
    pub sagas: Vec<FoundSaga>,
    /// Where the next page begins; absent: this is the last one.
    pub next: Option<Cursor>,
}

/// A saga that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSaga {
    /// Its id.
    pub id: SagaId,
    /// Its definition's name.
    pub definition: String,
    /// Its definition's version.
    pub version: u32,
    /// What it runs for.
    pub business_key: Option<String>,
    /// What its reader sees.
    pub status: Status,
    /// Where it stands.
    pub state: State,
    /// The names of its definition's steps, in order; empty where the database does not know the definition.
    pub steps: Vec<String>,
    /// When it was accepted.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    definition: String,
    version: i32,
    business_key: Option<String>,
    status: String,
    state: Json<Box<RawValue>>,
    steps: Option<Json<Vec<String>>>,
    created_micros: i64,
    updated_ms: i64,
}

/// Between two cursors ($1 to $4), and older than $5 ms.
const BETWEEN: &str = "
    (created_at, id) < (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2::uuid)
    and (created_at, id) >= (timestamptz 'epoch' + $3::bigint * interval '1 microsecond', $4::uuid)
    and created_at <= now() - $5::bigint * interval '1 millisecond'";

/// What no index decides.
const FITS: &str = "
    and ($7::text is null or definition = $7)
    and (cardinality($8::text[]) = 0 or status = any ($8))
    and ($9::text is null or business_key = $9)
    and ($10::text is null or wasaga.works_on(definition, version, state, $10))
    and ($11::jsonb is null or wasaga.input_has(input_type, input, $11))
    and ($12::int is null or version = $12)";

/// The newest sagas in each of these places: each is read in its index's order, and no farther than $6 sagas.
fn newest(places: &[&str], fits: &str) -> String {
    let newest = |place: &&str| {
        format!(
            "(select * from wasaga.sagas where {place} and {BETWEEN} {fits}
              order by created_at desc, id desc limit $6)"
        )
    };
    places.iter().map(newest).collect::<Vec<_>>().join(" union all ")
}

/// Where to look, each by an index of its own; and whether whatever stands there fits.
fn places(filter: &SagaFilter) -> (&'static [&'static str], bool) {
    let SagaFilter { definition, version, ids, statuses, step, input, business_key, .. } = filter;
    if business_key.is_some() || !ids.is_empty() {
        return (&["id = any ($13)"], true);
    }
    let ended = statuses.iter().filter(|status| status.is_final()).count();
    let (places, statuses_fit): (&[_], _) = match statuses.as_slice() {
        [] => (&["not ended", "ended"], true),
        [Status::NeedsAttention] => (&["needs_attention"], true),
        _ if ended == statuses.len() => (&["ended"], false),
        _ if ended == 0 => (&["not ended"], false),
        _ => (&["not ended", "ended"], false),
    };
    let named = definition.is_some() || version.is_some() || step.is_some() || !input.is_empty();
    (places, statuses_fit && !named)
}

impl Store {
    /// Up to `limit` of the sagas that fit, newest first, from where the page before ended.
    pub async fn sagas_search(
        &self,
        filter: &SagaFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let after = after.unwrap_or(Cursor::NEWEST);
        let (places, all_fit) = places(filter);
        let last_look = if all_fit { None } else { self.last_look(places, filter, after).await? };
        let to = last_look.unwrap_or(Cursor::OLDEST);
        let newest = newest(places, FITS);
        let sql = format!(
            "select page.id, page.definition, page.version, page.business_key, page.status, page.state,
                 jsonb_path_query_array(d.content, '$.steps[*].name') as steps,
                 (extract(epoch from page.created_at) * 1000000)::bigint as created_micros,
                 wasaga.millis(page.updated_at) as updated_ms
             from (select * from ({newest}) s order by created_at desc, id desc limit $6) page
             left join wasaga.definitions d on d.name = page.definition and d.version = page.version
             order by page.created_at desc, page.id desc"
        );
        let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(after.micros)
            .bind(after.id)
            .bind(to.micros)
            .bind(to.id)
            .bind(older_ms(filter))
            .bind(limit as i64 + 1)
            .bind(filter.definition.as_deref())
            .bind(statuses)
            .bind(filter.business_key.as_deref())
            .bind(filter.step.as_deref())
            .bind((!filter.input.is_empty()).then_some(Json(&filter.input)))
            .bind(filter.version.map(u32::cast_signed));
        if let Some(ids) = self.ids_of(filter).await? {
            query = query.bind(ids);
        }
        let mut rows: Vec<Row> = query.fetch_all(&self.pool).await?;
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|row| Cursor { micros: row.created_micros, id: row.id })
        } else {
            last_look
        };
        let sagas = rows.into_iter().map(Row::saga).collect::<Result<_, _>>()?;
        Ok(Page { sagas, next })
    }

    /// Which of these sagas have ended, or ask for an operator.
    pub async fn sagas_settled(&self, sagas: &[SagaId]) -> Result<Vec<SagaId>, StoreError> {
        let ids: Vec<Uuid> = sagas.iter().map(|id| id.0).collect();
        let settled: Vec<Uuid> = sqlx::query_scalar(
            "select id from wasaga.sagas where id = any ($1) and (ended or needs_attention)",
        )
        .bind(&ids)
        .fetch_all(&self.pool)
        .await?;
        Ok(settled.into_iter().map(SagaId).collect())
    }

    /// The last saga that a page looks at; absent: it looks at all that are left.
    async fn last_look(
        &self,
        places: &[&str],
        filter: &SagaFilter,
        after: Cursor,
    ) -> Result<Option<Cursor>, StoreError> {
        let newest = newest(places, "");
        let sql = format!(
            "select (extract(epoch from created_at) * 1000000)::bigint, id from ({newest}) s
             order by created_at desc, id desc offset $6 - 1 limit 1"
        );
        let last: Option<(i64, Uuid)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(after.micros)
            .bind(after.id)
            .bind(Cursor::OLDEST.micros)
            .bind(Cursor::OLDEST.id)
            .bind(older_ms(filter))
            .bind(LOOKS)
            .fetch_optional(&self.pool)
            .await?;
        Ok(last.map(|(micros, id)| Cursor { micros, id }))
    }

    /// Which sagas the filter names, by id or by business key, from which and its definition an id is derived.
    async fn ids_of(&self, filter: &SagaFilter) -> Result<Option<Vec<Uuid>>, StoreError> {
        let wanted: Vec<Uuid> = filter.ids.iter().map(|id| id.0).collect();
        let Some(key) = &filter.business_key else {
            return Ok((!wanted.is_empty()).then_some(wanted));
        };
        let definitions = if let Some(definition) = &filter.definition {
            vec![definition.clone()]
        } else {
            let names = sqlx::query_scalar("select distinct name from wasaga.definitions");
            names.fetch_all(&self.pool).await?
        };
        let ids = definitions.iter().map(|definition| SagaId::derived(definition, key).0);
        Ok(Some(ids.filter(|id| wanted.is_empty() || wanted.contains(id)).collect()))
    }
}

fn older_ms(filter: &SagaFilter) -> i64 {
    let older = filter.older_than.unwrap_or_default().as_millis();
    // A timestamp reaches no farther back than this.
    i64::try_from(older).unwrap_or(i64::MAX).min(Cursor::NEWEST.micros / 1000)
}

impl Row {
    fn saga(self) -> Result<FoundSaga, StoreError> {
        let id = SagaId(self.id);
        let unfit = |column, what: &dyn ToString| {
            StoreError::stored("wasaga.sagas", column, id, what.to_string())
        };
        Ok(FoundSaga {
            id,
            version: u32::try_from(self.version).map_err(|error| unfit("version", &error))?,
            status: Status::parse(&self.status).ok_or_else(|| unfit("status", &self.status))?,
            definition: self.definition,
            business_key: self.business_key,
            state: shown(&self.state.0),
            steps: self.steps.map(|steps| steps.0).unwrap_or_default(),
            created_at: UnixMillis(self.created_micros.div_euclid(1000)),
            updated_at: UnixMillis(self.updated_ms),
        })
    }
}
