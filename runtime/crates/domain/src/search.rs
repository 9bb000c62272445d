//! Which sagas somebody means: the filter of a search, and of what is asked of many sagas at once.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::{clock::parse_duration, ids::SagaId, state::Status};

/// Which sagas are meant: those that fit all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SagaFilter {
    /// Of the definition of this name.
    pub definition: Option<String>,
    /// Of this version of it.
    pub version: Option<u32>,
    /// One of these; empty: any.
    pub ids: Vec<SagaId>,
    /// In one of these; empty: in any.
    pub statuses: Vec<Status>,
    /// What they run for.
    pub business_key: Option<String>,
    /// They work on this step now.
    pub step: Option<String>,
    /// They were started longer ago than this.
    pub older_than: Option<Duration>,
    /// Their input has all of these.
    pub input: Vec<Attribute>,
}

/// A place in an input, and what stands there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attribute {
    /// Field names and places in arrays, from the input's root.
    pub path: Vec<String>,
    /// Any of these; numbers are equal whatever their notation.
    pub values: Vec<Value>,
}

impl SagaFilter {
    /// The names of its conditions, as the API and the command line have them.
    pub const NAMES: &str =
        "definition, version, id, status, business_key, step, older_than and input./json/pointer";

    /// Whether every saga fits.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in a condition, all text; answers whether there is one of this name, or what is wrong with its value.
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if let Some(pointer) = name.strip_prefix("input.") {
            self.input.push(Attribute::parse(pointer, value)?);
            return Ok(true);
        }
        match name {
            "definition" => once(&mut self.definition, value.to_owned())?,
            "version" => {
                let version = value.parse().ok().filter(|version| *version > 0);
                let version = version.ok_or_else(|| format!("{value:?} is no version: from 1"))?;
                once(&mut self.version, version)?;
            }
            "id" => {
                for id in value.split(',') {
                    let id = id.parse().map_err(|_| format!("{id:?} is not a UUID"))?;
                    self.ids.push(SagaId(id));
                }
            }
            "business_key" => once(&mut self.business_key, value.to_owned())?,
            "step" => once(&mut self.step, value.to_owned())?,
            "older_than" => once(&mut self.older_than, parse_duration(value)?)?,
            "status" => {
                for name in value.split(',') {
                    self.statuses.push(Status::parse(name).ok_or_else(|| unknown_status(name))?);
                }
            }
            _ => return Ok(false),
        }
        no_nul(value).map(|()| true)
    }
}

impl Attribute {
    fn parse(pointer: &str, value: &str) -> Result<Self, String> {
        no_nul(pointer)?;
        no_nul(value)?;
        let tokens = pointer.strip_prefix('/').ok_or_else(|| {
            format!("input.{pointer} is no JSON pointer: write it as input./customer/id")
        })?;
        let path = tokens.split('/').map(|token| token.replace("~1", "/").replace("~0", "~"));
        // A value that reads as another JSON scalar than text is meant either way.
        let scalar = serde_json::from_str(value).ok();
        let scalar = scalar.filter(|value: &Value| !value.is_object() && !value.is_array());
        let values = [Some(Value::String(value.to_owned())), scalar].into_iter().flatten();
        Ok(Self { path: path.collect(), values: values.collect() })
    }
}

pub(crate) fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("it is given twice".into()),
    }
}

pub(crate) fn no_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("it must not contain NUL".into()) } else { Ok(()) }
}

fn unknown_status(name: &str) -> String {
    let known = Status::ALL.map(Status::as_str).join(", ");
    format!("{name:?} is no status; there are {known}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(name: &str, value: &str) -> SagaFilter {
        let mut filter = SagaFilter::default();
        assert_eq!(filter.take(name, value), Ok(true));
        filter
    }

    #[test]
    fn values_read_as_text_and_as_what_else_they_are() {
        let input = |name, value| taken(name, value).input.remove(0);
        let number = input("input./items/0/price", "5");
        assert_eq!(number.path, ["items", "0", "price"]);
        assert_eq!(number.values, [json!("5"), json!(5)]);
        assert_eq!(input("input./a~1b~0", "x").path, ["a/b~"]);
        assert_eq!(input("input./a", "{}").values, [json!("{}")]);
        let both = taken("status", "waiting,paused").statuses;
        assert_eq!(both, [Status::Waiting, Status::Paused]);
        assert_eq!(taken("older_than", "1h30m").older_than, Some(Duration::from_mins(90)));
        assert_eq!(taken("older_than", "7d").older_than, Some(Duration::from_hours(168)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, value, says) in [
            ("status", "done", "there are pending"),
            ("older_than", "30", "write it as"),
            ("older_than", "-1s", "write it as"),
            ("older_than", "2 months", "write it as"),
            ("input.customer", "x", "input./customer/id"),
            ("input./a", "\0", "NUL"),
            ("business_key", "\0", "NUL"),
        ] {
            let why = SagaFilter::default().take(name, value).expect_err(value);
            assert!(why.contains(says), "{name}={value}: {why}");
        }
        let mut filter = taken("step", "a");
        assert!(filter.take("step", "b").is_err_and(|why| why.contains("twice")));
        assert_eq!(filter.take("stpe", "b"), Ok(false));
    }
}
