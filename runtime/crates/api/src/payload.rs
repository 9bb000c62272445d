//! Payloads and errors of sagas as JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use wasaga_domain::{outcome::ErrorDetail, payload::Payload};

/// JSON as it is, digit by digit; anything else as `{"content_type": …, "base64": …}`.
pub(crate) fn to_json(payload: &Payload) -> Box<RawValue> {
    let essence = payload.content_type.split(';').next().unwrap_or_default().trim();
    if (essence == "application/json" || essence.ends_with("+json"))
        && let Ok(raw) = serde_json::from_slice(&payload.data)
    {
        return raw;
    }
    let coded =
        json!({ "content_type": payload.content_type, "base64": STANDARD.encode(&payload.data) });
    RawValue::from_string(coded.to_string()).expect("a JSON value prints as JSON")
}

/// What went wrong, for a reader.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorView {
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

impl From<&ErrorDetail> for ErrorView {
    fn from(error: &ErrorDetail) -> Self {
        let ErrorDetail { code, message, data } = error;
        Self { code: code.clone(), message: message.clone(), data: data.as_ref().map(to_json) }
    }
}
