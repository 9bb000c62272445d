//! Dead letters: tasks that were given up, and which of them somebody means.

use std::time::Duration;

use crate::{
    clock::parse_duration,
    ids::SagaId,
    search::{no_nul, once},
};

/// Which way a letter went when it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LetterFlow {
    /// On its way in: `wasaga.dead_letter_in`.
    In,
    /// On its way out: `wasaga.dead_letter_out`.
    Out,
}

/// How far a letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterStatus {
    /// Waits, for a plugin or an operator.
    Wait,
    /// A plugin is called for it.
    Work,
    /// A plugin gave it up: it waits for an operator.
    Error,
    /// Has ended.
    Ready,
}

/// What an operator does to end a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterVerb {
    /// A new task is made of it.
    Redrive,
    /// Nothing is.
    Discard,
}

/// Which letters are meant: those that fit all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// One of these; empty: any.
    pub ids: Vec<i64>,
    /// Of this topic.
    pub topic: Option<String>,
    /// With this key, as text.
    pub key: Option<String>,
    /// In one of these; empty: in any.
    pub statuses: Vec<LetterStatus>,
    /// The code of the reason for which they were given up.
    pub reason: Option<String>,
    /// They were given up longer ago than this.
    pub older_than: Option<Duration>,
    /// Sent by this saga.
    pub saga: Option<SagaId>,
}

impl LetterFlow {
    /// As the API, the command line and the tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// The flow of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::In, Self::Out].into_iter().find(|flow| flow.as_str() == name)
    }
}

impl LetterStatus {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Wait, Self::Work, Self::Error, Self::Ready];
    /// Those of letters that have not ended.
    pub const OPEN: [Self; 3] = [Self::Wait, Self::Work, Self::Error];

    /// As the tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Work => "work",
            Self::Error => "error",
            Self::Ready => "ready",
        }
    }

    /// The status of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

impl LetterVerb {
    /// As the API and the audit have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }

    /// The verb of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Redrive, Self::Discard].into_iter().find(|verb| verb.name() == name)
    }

    /// How a letter ends by it, as the tables have it.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Redrive => "redriven",
            Self::Discard => "discarded",
        }
    }
}

impl LetterFilter {
    /// The names of its conditions, as the API and the command line have them.
    pub const NAMES: &str = "id, topic, key, status, reason, older_than and saga";

    /// Whether every letter fits.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether only letters that have not ended fit.
    pub fn only_open(&self) -> bool {
        !self.statuses.is_empty() && !self.statuses.contains(&LetterStatus::Ready)
    }

    /// Takes in a condition, all text; answers whether there is one of this name, or what is wrong with its value.
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        no_nul(value)?;
        match name {
            "id" => {
                for id in value.split(',') {
                    let id = id.parse().map_err(|_| format!("{id:?} is not a letter's number"))?;
                    self.ids.push(id);
                }
            }
            "topic" => once(&mut self.topic, value.to_owned())?,
            "key" => once(&mut self.key, value.to_owned())?,
            "reason" => once(&mut self.reason, value.to_owned())?,
            "older_than" => once(&mut self.older_than, parse_duration(value)?)?,
            "saga" => {
                let saga = value.parse().map_err(|_| format!("{value:?} is not a UUID"))?;
                once(&mut self.saga, SagaId(saga))?;
            }
            "status" => {
                for name in value.split(',') {
                    let known = LetterStatus::ALL.map(LetterStatus::as_str).join(", ");
                    let status = LetterStatus::parse(name);
                    let status = status.ok_or_else(|| {
                        format!("{name:?} is no status of a dead letter; there are {known}")
                    })?;
                    self.statuses.push(status);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (name, value, says) in [
            ("id", "1,x", "not a letter's number"),
            ("status", "open", "there are wait, work, error, ready"),
            ("older_than", "30", "write it as"),
            ("saga", "o-1", "not a UUID"),
            ("topic", "\0", "NUL"),
        ] {
            let why = LetterFilter::default().take(name, value).expect_err(value);
            assert!(why.contains(says), "{name}={value}: {why}");
        }
        let mut filter = LetterFilter::default();
        assert_eq!(filter.take("reason", "timeout"), Ok(true));
        assert!(filter.take("reason", "trap").is_err_and(|why| why.contains("twice")));
        assert_eq!(filter.take("cause", "trap"), Ok(false));
        assert_eq!(filter.take("status", "wait,error"), Ok(true));
        assert!(filter.only_open());
    }
}
