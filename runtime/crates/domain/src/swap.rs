//! Which module of a plugin runs what: what may be changed about that, by whom and why.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Digest, PluginName},
    mail::Audit,
};

/// What becomes of a module.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is kept, and called by nobody yet.
    Pushed,
    /// It is the active one.
    Activated,
    /// It is the active one again, in the place of its successor.
    RolledBack,
    /// It was the canary, and is the active one.
    CanaryPromoted,
    /// It takes a part of the calls.
    CanaryStarted(CanaryPlan),
    /// It undoes what the active one did.
    UndoTakenOver,
}

impl Change {
    /// As the history has it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Activated => "activated",
            Self::RolledBack => "rolled_back",
            Self::CanaryPromoted => "canary_promoted",
            Self::CanaryStarted(_) => "canary_started",
            Self::UndoTakenOver => "undo_taken_over",
        }
    }

    /// Whether it makes the module the active one.
    pub fn activates(&self) -> bool {
        matches!(self, Self::Activated | Self::RolledBack | Self::CanaryPromoted)
    }
}

/// A part of an activation that can be ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The canary: the active module takes all calls again.
    Canary,
    /// The module that undoes: the active one does again.
    Undo,
}

impl Part {
    /// What its end is in the history.
    pub fn ended(self) -> &'static str {
        match self {
            Self::Canary => "canary_ended",
            Self::Undo => "undo_ended",
        }
    }
}

/// How much a canary takes, and when it is ended by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryPlan {
    /// Of sagas, by the hash of their ids, and of messages, by that of their keys: 1 to 99.
    pub percent: u32,
    /// It is ended when a greater part of its calls fails: 0 to 100.
    #[serde(default = "max_error_percent")]
    pub max_error_percent: f64,
    /// Not before so many of its calls were counted.
    #[serde(default = "min_calls")]
    pub min_calls: u32,
    /// Milliseconds: older calls don't count.
    #[serde(default = "window_ms")]
    pub window_ms: u64,
}

fn max_error_percent() -> f64 {
    5.0
}

fn min_calls() -> u32 {
    50
}

fn window_ms() -> u64 {
    300_000
}

impl CanaryPlan {
    /// A canary of this percentage, with the defaults.
    pub fn new(percent: u32) -> Self {
        Self {
            percent,
            max_error_percent: max_error_percent(),
            min_calls: min_calls(),
            window_ms: window_ms(),
        }
    }

    /// What is wrong with it, and how to mend that.
    pub fn fault(&self) -> Option<String> {
        let Self { percent, max_error_percent, min_calls, window_ms } = self;
        if !(1..=99).contains(percent) {
            return Some(format!(
                "percent {percent}: a canary takes 1 to 99 of a hundred calls; for all of them activate the module"
            ));
        }
        if !(0.0..=100.0).contains(max_error_percent) {
            return Some(format!("max_error_percent {max_error_percent}: must be in 0..100"));
        }
        if *min_calls == 0 {
            return Some("min_calls 0: must be at least 1".into());
        }
        // As long as Postgres can count back.
        let longest = Duration::from_hours(24 * 366).as_millis();
        (*window_ms == 0 || u128::from(*window_ms) > longest)
            .then(|| format!("window_ms {window_ms}: must be at least 1, and at most a year"))
    }
}

/// A change that somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Swap {
    /// What becomes of the module.
    pub change: Change,
    /// Who asks, and why.
    pub by: Audit,
    /// Also where sagas in flight need steps that the module lacks.
    pub force: bool,
    /// Only if this module is the active one still.
    pub over: Option<Digest>,
    /// What signs the component, where one comes with the change: the text of its `.minisig`.
    pub signature: Option<String>,
}

impl Swap {
    /// A change that nothing stands against.
    pub fn new(change: Change, by: Audit) -> Self {
        Self { change, by, force: false, over: None, signature: None }
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// The plugin.
    pub plugin: PluginName,
    /// What the module says is its version.
    pub version: String,
    /// The module.
    pub digest: Digest,
    /// The module that was active before.
    pub previous: Option<Digest>,
    /// Grows with each activation of any plugin.
    pub generation: i64,
}

/// A plugin's canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Another one each time that a canary is started.
    pub id: i64,
    /// Its module.
    pub digest: Digest,
    /// Of calls: 1 to 99.
    pub percent: u32,
}

/// What a host counted while a plugin had a canary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CanaryCounts {
    /// Calls of the canary.
    pub canary: Counts,
    /// Calls of the active module.
    pub active: Counts,
}

/// Calls, and how many of them failed for no reason of the business: traps, time-outs, limits, what the host refused of
/// their results, and what the guest called retryable or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that ended.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
}
