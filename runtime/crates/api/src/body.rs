//! Request bodies: JSON, said to be JSON, of bounded size, without NUL.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde_json::Value;

use crate::error::{ApiError, Misfit};

/// A JSON body, as it came and parsed.
#[derive(Debug)]
pub(crate) struct JsonBody {
    pub bytes: Bytes,
    pub value: Value,
}

impl JsonBody {
    /// The body; nothing where it is empty.
    pub(crate) async fn optional(request: Request, limit: usize) -> Result<Option<Self>, ApiError> {
        let content_type = content_type(request.headers());
        let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection
            .status()
        {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge(limit),
            _ => ApiError::Malformed(format!("the body could not be read: {rejection}")),
        })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !content_type.as_deref().is_some_and(is_json) {
            return Err(ApiError::NotJson(content_type));
        }
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::Malformed(format!("the body is not JSON: {error}")))?;
        let mut nuls = Vec::new();
        find_nul(&value, &mut String::new(), &mut nuls);
        if nuls.is_empty() { Ok(Some(Self { bytes, value })) } else { Err(ApiError::Invalid(nuls)) }
    }

    /// The body.
    pub(crate) async fn required(request: Request, limit: usize) -> Result<Self, ApiError> {
        let missing = || ApiError::Malformed("the body is empty, and must be a JSON object".into());
        Self::optional(request, limit).await?.ok_or_else(missing)
    }
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// NUL is refused everywhere: no `text` or `jsonb` of Postgres takes it, and a step would fail on it much later.
fn find_nul(value: &Value, pointer: &mut String, found: &mut Vec<Misfit>) {
    let here = pointer.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            found.push(Misfit::new(pointer.as_str(), "text must not contain NUL"));
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&place.to_string());
                find_nul(item, pointer, found);
                pointer.truncate(here);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                if name.contains('\0') {
                    found.push(Misfit::new(pointer.as_str(), "field names must not contain NUL"));
                }
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                find_nul(field, pointer, found);
                pointer.truncate(here);
            }
        }
        _ => {}
    }
}
