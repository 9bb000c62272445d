//! What a value holds by the codec of its topic.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use wasaga_domain::value_reader::{Unread, ValueReader};

/// How long a schema is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a value holds by the codec of its topic, or why it can't be shown; neither where there is no codec or no value.
#[derive(Debug, Default, Serialize)]
pub struct Decoded {
    /// JSON as it is read, digit by digit.
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoded_error: Option<String>,
}

impl Decoded {
    /// Reads a value; a registry that does not answer in two seconds is not waited for.
    pub async fn of(values: &dyn ValueReader, topic: &str, value: Option<&[u8]>) -> Self {
        let Some(value) = value else { return Self::default() };
        let read = match values.read_within(topic, value, PATIENCE).await {
            None => return Self::default(),
            Some(read) => read.map_err(|unread| match unread {
                Unread::OnItsWay => {
                    "the schema registry has not answered yet: try again".to_owned()
                }
                Unread::Away(why) | Unread::Fault(why) => why,
            }),
        };
        let json = read.and_then(|json| {
            serde_json::from_slice(&json).map_err(|error| format!("it is no JSON: {error}"))
        });
        match json {
            Ok(decoded) => Self { decoded: Some(decoded), decoded_error: None },
            Err(why) => Self { decoded: None, decoded_error: Some(why) },
        }
    }
}
