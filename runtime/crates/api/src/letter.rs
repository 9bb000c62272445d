//! Dead letters as JSON: as they are shown, and as they are edited.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json, value::RawValue};
use wasaga_domain::{dead_letter::LetterFlow, message::Message, value_reader::ValueReader};
use wasaga_store::{
    dead_letter_edit::{Change, LetterEdit},
    dead_letter_read::{FoundLetter, Letter, LetterAudit},
    dead_letter_search::LetterPage,
    headers,
};

use crate::Decoded;

/// A page of dead letters.
#[derive(Serialize)]
pub struct LetterPageView {
    letters: Vec<FoundLetterView>,
    /// `after` of the next page; absent: this is the last one.
    next: Option<String>,
}

/// A letter in a page.
#[derive(Serialize)]
struct FoundLetterView {
    letter_id: i64,
    flow: &'static str,
    status: &'static str,
    ending: Option<String>,
    reason: Value,
    attempts: i32,
    task_id: i64,
    topic: String,
    key: Option<Value>,
    #[serde(flatten)]
    of_flow: Value,
    edited: bool,
    created_at: String,
    finished_at: Option<String>,
}

/// A letter.
#[derive(Serialize)]
pub struct LetterView {
    #[serde(flatten)]
    found: FoundLetterView,
    headers: Value,
    value: Option<Content>,
    #[serde(flatten)]
    decoded: Decoded,
    original: Option<OriginalView>,
    handling_attempts: i32,
    handling_error: Option<Value>,
    verbs: Vec<AuditView>,
}

/// What a letter was before its first edit.
#[derive(Serialize)]
struct OriginalView {
    topic: String,
    key: Option<Value>,
    headers: Value,
    value: Option<Content>,
    #[serde(flatten)]
    decoded: Decoded,
}

#[derive(Serialize)]
struct AuditView {
    verb: String,
    by: Option<String>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<i64>,
    at: String,
}

/// A value, by what it can be shown as.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Content {
    /// JSON as it is, digit by digit.
    Json(Box<RawValue>),
    Text(String),
    Base64(String),
}

/// A letter's edit: what is absent stays, what is null is taken away.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditBody {
    topic: Option<String>,
    #[serde(default)]
    key: Given<Value>,
    headers: Option<Value>,
    #[serde(default)]
    value: Given<Content>,
    pub reason: Option<String>,
    pub by: Option<String>,
}

/// A field that may be absent, or null.
#[derive(Debug, Default)]
enum Given<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.map_or(Self::Null, Self::Value))
    }
}

impl<T> Given<T> {
    fn change(&self, bytes: impl Fn(&T) -> Result<Vec<u8>, String>) -> Result<Change, String> {
        match self {
            Self::Absent => Ok(Change::Keep),
            Self::Null => Ok(Change::Remove),
            Self::Value(value) => bytes(value).map(Change::Set),
        }
    }
}

impl LetterPageView {
    /// A page of letters of this flow.
    pub fn of(flow: LetterFlow, page: LetterPage) -> Self {
        let view = |letter| FoundLetterView::of(flow, letter);
        Self {
            letters: page.letters.into_iter().map(view).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

impl FoundLetterView {
    fn of(flow: LetterFlow, letter: FoundLetter) -> Self {
        let place = letter.place.map(|place| {
            json!({ "cluster": place.cluster, "partition": place.partition, "offset": place.offset })
        });
        let sent = letter.sent.map(|sent| {
            json!({
                "message_id": sent.message_id, "saga_id": sent.saga_id, "idempotency_key": sent.idempotency_key,
                "aggregate_id": sent.aggregate_id, "event_type": sent.event_type,
            })
        });
        Self {
            letter_id: letter.id,
            flow: flow.as_str(),
            status: letter.status.as_str(),
            ending: letter.ending,
            reason: letter.reason,
            attempts: letter.attempts,
            task_id: letter.task_id,
            topic: letter.topic,
            key: letter.key.as_deref().map(key_to_json),
            of_flow: place.or(sent).unwrap_or_else(|| json!({})),
            edited: letter.edited,
            created_at: letter.created_at.to_string(),
            finished_at: letter.finished_at.map(|at| at.to_string()),
        }
    }
}

impl LetterView {
    /// A letter of this flow.
    pub async fn of(flow: LetterFlow, letter: Letter, values: &dyn ValueReader) -> Self {
        let decoded = Decoded::of(values, &letter.found.topic, letter.value.as_deref());
        let original =
            letter.original.and_then(|original| headers::message_from_json(&original).ok());
        let original = async {
            match original {
                Some(original) => Some(OriginalView::of(original, values).await),
                None => None,
            }
        };
        let (decoded, original) = tokio::join!(decoded, original);
        let audit = |LetterAudit { verb, by, reason, task_id, at }| AuditView {
            verb,
            by,
            reason,
            task_id,
            at: at.to_string(),
        };
        Self {
            found: FoundLetterView::of(flow, letter.found),
            headers: letter.headers,
            value: letter.value.as_deref().map(Content::of),
            decoded,
            original,
            handling_attempts: letter.handling_attempts,
            handling_error: letter.handling_error,
            verbs: letter.verbs.into_iter().map(audit).collect(),
        }
    }
}

impl OriginalView {
    async fn of(original: Message, values: &dyn ValueReader) -> Self {
        let Message { topic, key, headers, value } = original;
        Self {
            decoded: Decoded::of(values, &topic, value.as_deref()).await,
            key: key.as_deref().map(key_to_json),
            headers: headers::to_json(&headers),
            value: value.as_deref().map(Content::of),
            topic,
        }
    }
}

impl EditBody {
    /// What is to be changed, or the field that does not fit and why.
    pub(crate) fn edit(&self, flow: LetterFlow) -> Result<LetterEdit, (&'static str, String)> {
        let headers = self.headers.as_ref().map(headers::from_json);
        let edit = LetterEdit {
            topic: self.topic.clone(),
            key: self.key.change(key_from_json).map_err(|why| ("key", why))?,
            headers: headers.transpose().map_err(|why| ("headers", why))?,
            value: self.value.change(Content::bytes).map_err(|why| ("value", why))?,
        };
        edit.fault(flow).map_or(Ok(edit), Err)
    }
}

/// Text where it is that, else `{"base64": …}`; as headers have their values.
fn key_to_json(key: &[u8]) -> Value {
    match std::str::from_utf8(key) {
        Ok(text) if !text.contains('\0') => json!(text),
        _ => json!({ "base64": STANDARD.encode(key) }),
    }
}

fn key_from_json(key: &Value) -> Result<Vec<u8>, String> {
    let name = || "must be text, {\"base64\": …} or null".to_owned();
    match (key, key.as_object().map(serde_json::Map::len), &key["base64"]) {
        (Value::String(text), ..) => Ok(text.clone().into_bytes()),
        (_, Some(1), Value::String(encoded)) => from_base64(encoded),
        _ => Err(name()),
    }
}

fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("is not base64: {error}"))
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        if let Ok(raw) = serde_json::from_slice(bytes) {
            return Self::Json(raw);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Self::Text(text.to_owned()),
            _ => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Json(raw) => Ok(raw.get().as_bytes().to_vec()),
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Base64(encoded) => from_base64(encoded),
        }
    }
}
