//! Dead letters by what they are, page by page. A page looks at a bounded number of letters, and its
//! cursor goes on from there: a search costs the same whatever it finds.

use sqlx::AssertSqlSafe;
use wasaga_domain::dead_letter::{LetterFilter, LetterFlow};

use crate::{
    Store, StoreError,
    dead_letter_read::{FoundLetter, FoundRow, found_columns, table},
};

/// How many letters a page looks at, at most.
pub const LOOKS: i64 = 10_000;

/// Which letters come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As people look for them.
    Newest,
    /// As they are made tasks again.
    Oldest,
}

/// Some of the letters that fit.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterPage {
    /// They may be fewer than were asked for, even none, where others follow.
    pub letters: Vec<FoundLetter>,
    /// After which letter the next page begins; absent: this is the last one.
    pub next: Option<i64>,
}

impl Store {
    /// Up to `limit` of the letters that fit, from where the page before ended.
    pub async fn dead_letters_search(
        &self,
        flow: LetterFlow,
        filter: &LetterFilter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        let (table, columns) = (table(flow), found_columns(flow));
        let open = if filter.only_open() { "and finished_at is null" } else { "" };
        // What is past a letter, what is up to one, how they are sorted, and where both ends are.
        let (past, up_to, sorted, begin, end) = match order {
            Order::Newest => ("<", ">=", "desc", i64::MAX, 0),
            Order::Oldest => (">", "<=", "asc", 0, i64::MAX),
        };
        let after = after.unwrap_or(begin);
        let last = format!(
            "select id from {table} where id {past} $1 {open} order by id {sorted} offset $2 - 1 limit 1"
        );
        let last_look: Option<i64> = sqlx::query_scalar(AssertSqlSafe(last))
            .bind(after)
            .bind(LOOKS)
            .fetch_optional(&self.pool)
            .await?;
        let of_saga = match flow {
            LetterFlow::In => "$10::uuid is null",
            LetterFlow::Out => "($10::uuid is null or saga_id = $10)",
        };
        let sql = format!(
            "select {columns} from {table} where id {past} $1 and id {up_to} $2 {open}
                 and (cardinality($4::bigint[]) = 0 or id = any ($4))
                 and ($5::text is null or topic = $5)
                 and ($6::text is null or key = convert_to($6, 'UTF8'))
                 and (cardinality($7::text[]) = 0 or status = any ($7))
                 and ($8::text is null or reason ->> 'code' = $8)
                 and created_at <= now() - $9::bigint * interval '1 millisecond'
                 and {of_saga}
             order by id {sorted} limit $3"
        );
        let statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
        let age = filter.older_than.unwrap_or_default().as_millis();
        let mut rows: Vec<FoundRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(after)
            .bind(last_look.unwrap_or(end))
            .bind(limit as i64 + 1)
            .bind(&filter.ids)
            .bind(filter.topic.as_deref())
            .bind(filter.key.as_deref())
            .bind(statuses)
            .bind(filter.reason.as_deref())
            // A timestamp reaches no farther back than some thousand years.
            .bind(i64::try_from(age).unwrap_or(i64::MAX).min(50_000_000_000_000))
            .bind(filter.saga.map(|saga| saga.0))
            .fetch_all(&self.pool)
            .await?;
        let next = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|row| row.id)
        } else {
            last_look
        };
        let letters = rows.into_iter().map(|row| row.letter(flow)).collect::<Result<_, _>>()?;
        Ok(LetterPage { letters, next })
    }
}
