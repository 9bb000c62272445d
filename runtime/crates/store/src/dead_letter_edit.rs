//! How an operator mends a dead letter before it is redriven. What it was before the first edit is kept beside.

use sqlx::{AssertSqlSafe, types::Json};
use wasaga_domain::{dead_letter::LetterFlow, mail::Audit, message::Header};

use crate::{
    Store, StoreError,
    dead_letter_read::{FoundLetter, Letter, table},
    headers,
    lanes::lane,
};

/// Lanes of `task_in`.
const LANES: u16 = 16;

/// What becomes of a key or a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// It stays.
    #[default]
    Keep,
    /// There is none any more.
    Remove,
    /// It is this.
    Set(Vec<u8>),
}

impl Change {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Keep | Self::Remove => None,
            Self::Set(bytes) => Some(bytes),
        }
    }
}

/// What is to be changed; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterEdit {
    /// Another topic: on its way out alone.
    pub topic: Option<String>,
    /// Another key, or none.
    pub key: Change,
    /// Other headers, all of them.
    pub headers: Option<Vec<Header>>,
    /// Another value, or a tombstone.
    pub value: Change,
}

/// What became of an edit.
#[derive(Clone, Debug, PartialEq)]
pub enum Edited {
    /// The letter as it is now.
    Done(Box<Letter>),
    /// A plugin is called for it now: nothing was changed.
    AtWork,
    /// It has ended, so: nothing was changed.
    Ended(String),
    /// There is no such letter.
    Unknown,
}

impl LetterEdit {
    /// The field that can't be so in a letter of this flow (`topic` or `headers`), and why.
    pub fn fault(&self, flow: LetterFlow) -> Option<(&'static str, String)> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_topic = |name: &str| {
            (1..=249).contains(&name.len())
                && name.chars().all(legal)
                && !matches!(name, "." | "..")
        };
        match &self.topic {
            Some(_) if flow == LetterFlow::In => {
                let why = "a record on its way in has the topic it came from: leave it out";
                return Some(("topic", why.into()));
            }
            Some(topic) if !is_topic(topic) => {
                return Some(("topic", "a topic's name has 1 to 249 of a-z A-Z 0-9 . _ -".into()));
            }
            _ => {}
        }
        let header = |Header { name, .. }: &Header| {
            if name.is_empty() || name.contains('\0') {
                return Some(format!("{name:?} is no header's name"));
            }
            (name == "message-id" && flow == LetterFlow::Out)
                .then(|| "the header \"message-id\" is written by the relay: leave it out".into())
        };
        let headers = self.headers.iter().flatten().find_map(header);
        headers.map(|why| ("headers", why))
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// Changes a letter that is open, and that no plugin of a living host is called for now; it stands in the audit. A record
    /// whose key changes has another lane.
    pub async fn dead_letter_edit(
        &self,
        flow: LetterFlow,
        id: i64,
        edit: &LetterEdit,
        by: &Audit,
    ) -> Result<Edited, StoreError> {
        let Some(letter) = self.dead_letter_get(flow, id).await? else {
            return Ok(Edited::Unknown);
        };
        let found = &letter.found;
        let place = found.place.as_ref().filter(|_| edit.key != Change::Keep);
        let new_lane = place.map(|place| {
            lane(&found.topic, place.partition, edit.key.bytes(), place.offset, LANES)
        });
        let besides = match flow {
            LetterFlow::In => "lane = coalesce($12, letter.lane),",
            // It is another message than the one that handle-out made.
            LetterFlow::Out => "handled = false,",
        };
        let table = table(flow);
        let sql = format!(
            "with edited as (
                 update {table} letter set {besides} topic = coalesce($3, topic),
                     key = case when $4 then $5 else key end,
                     headers = coalesce($6, headers),
                     value = case when $7 then $8 else value end,
                     original = coalesce(original, jsonb_build_object('topic', topic, 'headers', headers,
                         'key', translate(encode(key, 'base64'), E'\\n', ''),
                         'value', translate(encode(value, 'base64'), E'\\n', '')))
                         || case when $7 then '{{\"value_given\": true}}'::jsonb else '{{}}' end
                 where id = $2 and (status in ('wait', 'error') or status = 'work' and not exists (
                     select from wasaga.lanes l join wasaga.hosts h on h.id = l.host_id
                     where l.flow = $11 and l.lane = letter.lane and h.lease_until > now()))
                 returning id
             ), audit as (
                 insert into wasaga.dead_letter_verbs (flow, letter_id, verb, by, reason)
                 select $1, id, 'edit', $9, $10 from edited
             )
             select exists (select from edited)"
        );
        let query = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(flow.as_str())
            .bind(id)
            .bind(edit.topic.as_deref())
            .bind(edit.key != Change::Keep)
            .bind(edit.key.bytes())
            .bind(edit.headers.as_deref().map(|edited| Json(headers::to_json(edited))))
            .bind(edit.value != Change::Keep)
            .bind(edit.value.bytes())
            .bind(by.by.as_deref())
            .bind(&by.reason)
            .bind(format!("dead_{}", flow.as_str()));
        let query = match flow {
            LetterFlow::In => query.bind(new_lane),
            LetterFlow::Out => query,
        };
        let is_edited: bool = query.fetch_one(&self.pool).await?;
        Ok(match self.dead_letter_get(flow, id).await? {
            Some(letter) if is_edited => Edited::Done(Box::new(letter)),
            Some(Letter { found: FoundLetter { ending: Some(ending), .. }, .. }) => {
                Edited::Ended(ending)
            }
            Some(_) => Edited::AtWork,
            None => Edited::Unknown,
        })
    }
}
