//! The trigger `schedule`: a cron expression as text, or an object with what goes with it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Starts a saga at each time of a cron expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct ScheduleTrigger {
    /// Five fields, or six with the second first; UTC.
    pub cron: String,
    /// What becomes of occurrences that no host was there for.
    pub misfire: Misfire,
    /// The sagas' input; an object gets `scheduled_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// What becomes of occurrences whose time passed while no host ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// Nothing.
    Skip,
    /// The latest of them starts a saga.
    #[default]
    Once,
    /// Each of them starts a saga.
    All,
}

impl Misfire {
    /// As the manifest has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a schedule is a cron expression, or an object of cron, misfire (skip, once or all) and input"
)]
enum Written {
    Plain(String),
    Full {
        cron: String,
        #[serde(default)]
        misfire: Misfire,
        input: Option<Value>,
    },
}

impl From<Written> for ScheduleTrigger {
    fn from(written: Written) -> Self {
        match written {
            Written::Plain(cron) => Self { cron, misfire: Misfire::default(), input: None },
            Written::Full { cron, misfire, input } => Self { cron, misfire, input },
        }
    }
}
