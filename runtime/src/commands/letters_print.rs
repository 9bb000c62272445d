//! Dead letters as tables, for a reader.

use std::borrow::Cow;

use serde_json::Value;
use wasaga_api::LetterView;
use wasaga_codec::Codecs;
use wasaga_domain::dead_letter::LetterFlow;
use wasaga_store::{
    dead_letter_read::{FoundLetter, Letter},
    dead_letter_search::LetterPage,
};

use super::{saga::print, table};

pub(super) fn page(page: &LetterPage) {
    let titles = ["LETTER", "STATUS", "TOPIC", "KEY", "ATTEMPTS", "REASON", "GIVEN UP"];
    let row = |letter: &FoundLetter| {
        let key = letter.key.as_deref().map(String::from_utf8_lossy);
        [
            letter.id.to_string(),
            letter.ending.clone().unwrap_or_else(|| letter.status.as_str().to_owned()),
            letter.topic.clone(),
            key.map_or_else(|| "-".into(), Cow::into_owned),
            letter.attempts.to_string(),
            letter.reason["code"].as_str().unwrap_or("-").to_owned(),
            letter.created_at.to_string(),
        ]
    };
    table::print(titles, page.letters.iter().map(row));
    if let Some(next) = page.next {
        println!("more: --after {next}");
    }
}

pub(super) async fn letter(
    flow: LetterFlow,
    letter: Letter,
    codecs: &Codecs,
    json: bool,
) -> anyhow::Result<()> {
    let view = LetterView::of(flow, letter, codecs).await;
    if json {
        return print(&view);
    }
    let Value::Object(fields) = serde_json::to_value(&view)? else { return Ok(()) };
    let row = |(field, value): (String, Value)| {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text,
            other => other.to_string(),
        };
        Some([field, text])
    };
    table::print(["FIELD", "VALUE"], fields.into_iter().filter_map(row));
    Ok(())
}
