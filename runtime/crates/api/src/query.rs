//! What stands behind the `?` of a path. A parameter that nobody knows is refused: one that was misspelt must not mean
//! more sagas than its author had in mind.

use std::{str::FromStr, time::Duration};

use axum::{extract::Query, http::Uri};
use wasaga_domain::{
    clock::parse_duration,
    dead_letter::LetterFilter,
    ids::{BadDigest, Digest},
    message_search::MessageFilter,
    search::SagaFilter,
    swap::{CanaryPlan, Change},
};
use wasaga_store::saga_search::Cursor;

use crate::error::ApiError;

/// How long a request may wait for a saga's end.
const WAIT_BOUND: Duration = Duration::from_mins(1);

/// The parameters, in order.
fn parameters(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let parsed = Query::try_from_uri(uri);
    let Query(parameters) = parsed.map_err(|error| bad("the query", &error.to_string()))?;
    Ok(parameters)
}

/// How long the caller of a start waits for its end.
pub(crate) fn wait(uri: &Uri) -> Result<Option<Duration>, ApiError> {
    let mut wait = None;
    for (name, value) in parameters(uri)? {
        if name != "wait" {
            return Err(bad(&name, "a start takes no such parameter, only wait"));
        }
        let asked = parse_duration(&value).map_err(|why| bad("wait", &why))?;
        if asked > WAIT_BOUND {
            let most = WAIT_BOUND.as_secs();
            return Err(bad(
                "wait",
                &format!("{value} is too long: wait at most {most}s, then read the saga"),
            ));
        }
        wait = Some(asked);
    }
    Ok(wait)
}

/// Conditions by name.
pub(crate) trait Conditions: Default {
    /// All of them, for a reader.
    const NAMES: &str;

    /// Takes in a condition; answers whether there is one of this name, or what is wrong with its value.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String>;
}

impl Conditions for SagaFilter {
    const NAMES: &str = Self::NAMES;

    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        self.take(name, value)
    }
}

impl Conditions for LetterFilter {
    const NAMES: &str = Self::NAMES;

    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        self.take(name, value)
    }
}

/// What a search, or a request to many, is about.
pub(crate) struct Selection<F = SagaFilter, C = Cursor> {
    pub filter: F,
    pub after: Option<C>,
    pub limit: Option<usize>,
    pub dry_run: bool,
    pub all: bool,
}

impl<F: Conditions, C: FromStr> Selection<F, C> {
    /// Reads the filter's conditions, `after`, and those of `limit`, `dry_run` and `all` that are `known`.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, ApiError> {
        let mut read =
            Self { filter: F::default(), after: None, limit: None, dry_run: false, all: false };
        for (name, value) in parameters(uri)? {
            if name == "after" {
                let cursor = value.parse();
                let cursor = cursor.map_err(|_| bad("after", "it is not what next said"))?;
                read.after = Some(cursor);
            } else if known.contains(&name.as_str()) {
                match name.as_str() {
                    "limit" => read.limit = Some(limit(&value)?),
                    "dry_run" => read.dry_run = flag(&name, &value)?,
                    _ => read.all = flag(&name, &value)?,
                }
            } else if !read.filter.take(&name, &value).map_err(|why| bad(&name, &why))? {
                let known = known.join(", ");
                let conditions = F::NAMES;
                return Err(bad(
                    &name,
                    &format!("unknown; known are {conditions}, after, {known}"),
                ));
            }
        }
        Ok(read)
    }
}

/// Which messages are sought.
#[derive(Default)]
pub(crate) struct Sought {
    pub filter: MessageFilter,
    pub after: Option<i64>,
    pub limit: Option<usize>,
}

impl Sought {
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let mut read = Self::default();
        for (name, value) in parameters(uri)? {
            match name.as_str() {
                "after" => {
                    let after = value.parse().map_err(|_| bad("after", "it is not what next said"));
                    read.after = Some(after?);
                }
                "limit" => read.limit = Some(limit(&value)?),
                _ if read.filter.take(&name, &value).map_err(|why| bad(&name, &why))? => {}
                _ => {
                    let known = MessageFilter::NAMES;
                    return Err(bad(&name, &format!("unknown; known are {known}, after, limit")));
                }
            }
        }
        Ok(read)
    }
}

/// How a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// For the relay to publish.
    #[default]
    Store,
    /// Published at once, and stored where that does not succeed.
    PublishFirst,
}

impl Mode {
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let mut mode = Self::default();
        for (name, value) in parameters(uri)? {
            mode = match (name.as_str(), value.as_str()) {
                ("mode", "store") => Self::Store,
                ("mode", "publish-first") => Self::PublishFirst,
                ("mode", _) => {
                    let known = "there are store and publish-first";
                    return Err(bad("mode", &format!("{value:?} is no mode; {known}")));
                }
                _ => return Err(bad(&name, "unknown; known is mode")),
            };
        }
        Ok(mode)
    }
}

/// Which page of something that is numbered.
pub(crate) struct Paging {
    /// The number that the page before ended with; 0: this is the first one.
    pub after: i64,
    pub limit: Option<usize>,
}

impl Paging {
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let mut read = Self { after: 0, limit: None };
        for (name, value) in parameters(uri)? {
            match name.as_str() {
                "after" => {
                    let after = value.parse().map_err(|_| bad("after", "it is not what next said"));
                    read.after = after?;
                }
                "limit" => read.limit = Some(limit(&value)?),
                _ => return Err(bad(&name, "unknown; known are after, limit")),
            }
        }
        Ok(read)
    }
}

/// What becomes of a component that is pushed, by whom and why.
pub(crate) struct Push {
    pub change: Change,
    pub force: bool,
    pub by: Option<String>,
    pub reason: Option<String>,
}

impl Push {
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let (mut activate, mut undo, mut percent) = (None, false, None);
        let mut plan = CanaryPlan::new(0);
        let mut read = Self { change: Change::Activated, force: false, by: None, reason: None };
        let mut of_canary = None;
        for (name, value) in parameters(uri)? {
            match name.as_str() {
                "activate" => activate = Some(flag(&name, &value)?),
                "undo" => undo = flag(&name, &value)?,
                "force" => read.force = flag(&name, &value)?,
                "by" => read.by = Some(value),
                "reason" => read.reason = Some(value),
                "canary" => percent = Some(number(&name, &value)?),
                "max_error_percent" => plan.max_error_percent = number(&name, &value)?,
                "min_calls" => plan.min_calls = number(&name, &value)?,
                "window" => {
                    let window = parse_duration(&value).map_err(|why| bad(&name, &why))?;
                    plan.window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
                }
                _ => {
                    return Err(bad(
                        &name,
                        "unknown; known are activate, canary, max_error_percent, min_calls, window, undo, force, by and \
                         reason",
                    ));
                }
            }
            if matches!(name.as_str(), "max_error_percent" | "min_calls" | "window") {
                of_canary = Some(name);
            }
        }
        if let Some(name) = of_canary.filter(|_| percent.is_none()) {
            return Err(bad(&name, "it is a canary's: say canary=PERCENT too"));
        }
        read.change = match (activate, percent, undo) {
            (None | Some(true), None, false) => Change::Activated,
            (Some(false), None, false) => Change::Pushed,
            (None, Some(percent), false) => Change::CanaryStarted(CanaryPlan { percent, ..plan }),
            (None, None, true) => Change::UndoTakenOver,
            _ => return Err(bad("activate", "say one of activate, canary and undo")),
        };
        Ok(read)
    }
}

/// Which of the sagas are shown that a change of a plugin's module touches.
#[derive(Default)]
pub(crate) struct Touching {
    pub digest: Option<Digest>,
    pub after: Option<Cursor>,
    pub limit: Option<usize>,
}

impl Touching {
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let mut read = Self::default();
        for (name, value) in parameters(uri)? {
            match name.as_str() {
                "digest" => {
                    let digest = value.parse().map_err(|error: BadDigest| error.to_string());
                    read.digest = Some(digest.map_err(|why| bad("digest", &why))?);
                }
                "after" => {
                    let after =
                        value.parse().map_err(|()| bad("after", "it is not what next said"));
                    read.after = Some(after?);
                }
                "limit" => read.limit = Some(limit(&value)?),
                _ => return Err(bad(&name, "unknown; known are digest, after, limit")),
            }
        }
        Ok(read)
    }
}

/// How many sagas, messages, letters or events a page has at most.
const PAGE_BOUND: usize = 500;

fn limit(value: &str) -> Result<usize, ApiError> {
    let limit = value.parse().ok().filter(|limit| (1..=PAGE_BOUND).contains(limit));
    limit.ok_or_else(|| bad("limit", &format!("{value:?} is not a number from 1 to {PAGE_BOUND}")))
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, ApiError> {
    value.parse().map_err(|_| bad(name, &format!("{value:?} is not a number that fits")))
}

fn flag(name: &str, value: &str) -> Result<bool, ApiError> {
    value.parse().map_err(|_| bad(name, &format!("{value:?} is neither true nor false")))
}

/// The refusal of a parameter.
pub(crate) fn bad(name: &str, why: &str) -> ApiError {
    ApiError::BadParameter { name: name.to_owned(), why: why.to_owned() }
}
