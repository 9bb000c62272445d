//! Scenarios as data: TOML (`[[scenario]]`) or JSON (`{"scenario": […]}`) files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

/// What can't be read as scenarios.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {why}")]
pub struct BadScenario {
    /// The file, or the name of one that was made in code.
    pub place: String,
    /// What is wrong, and where.
    pub why: String,
}

/// One test: what is given, what happens, what has to come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What the report calls it.
    pub name: String,
    /// The world before.
    #[serde(default)]
    pub(crate) given: Given,
    /// What happens.
    pub(crate) when: When,
    /// What has to come of it.
    #[serde(default)]
    pub(crate) then: Then,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Given {
    /// Which saga the step is of; needed where the plugins define several that have it.
    pub saga: Option<String>,
    pub business_key: Option<String>,
    /// The saga's input.
    pub input: Option<Value>,
    /// What earlier steps returned, and what the steps of plugins that are not loaded return.
    pub outputs: BTreeMap<String, Value>,
    /// What the forward step left for its undo.
    pub undo: Option<Value>,
    /// What the wait left for its `resume`.
    pub memo: Option<Value>,
    /// Why the saga is undone.
    pub cause: Option<Cause>,
    /// The plugin's configuration, its secrets included.
    pub config: BTreeMap<String, String>,
    /// What other hosts answer.
    pub http: Vec<Exchange>,
    /// RFC 3339; by default the first of January 2026, 00:00 UTC.
    pub now: Option<String>,
    /// Statements that are run in the plugin's schema.
    pub sql: Vec<String>,
}

/// A request, and what becomes of it: a response, or an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    pub request: Asked,
    pub response: Option<Response>,
    pub error: Option<Unanswered>,
}

/// The request that an exchange is for: what is absent is not looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub method: String,
    /// With its query.
    pub url: String,
    /// At least these.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Exactly this.
    pub body: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Option<Value>,
}

impl Default for Response {
    fn default() -> Self {
        Self { status: 200, headers: BTreeMap::new(), body: None }
    }
}

/// The import's errors, but for `denied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unanswered {
    NotSent,
    MaybeSent,
    TooLarge,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cause {
    pub code: String,
    #[serde(default)]
    pub message: String,
}

/// Exactly one of the five.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    /// A step's name.
    pub execute: Option<String>,
    /// A step's name.
    pub compensate: Option<String>,
    /// A step that has waited.
    pub resume: Option<Resume>,
    /// A message of a task flow.
    pub task: Option<TaskWhen>,
    /// A definition's name: it runs to its end.
    pub saga: Option<String>,
    /// What comes while the saga waits, in this order.
    #[serde(default)]
    pub arrivals: Vec<Came>,
    /// Of a step or task.
    #[serde(default = "one")]
    pub attempt: u32,
}

fn one() -> u32 {
    1
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resume {
    pub step: String,
    #[serde(default)]
    pub undo: bool,
    pub with: Came,
}

/// What ends a wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Came {
    Message {
        topic: String,
        correlation: String,
        #[serde(default)]
        value: Option<Value>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    Signal {
        name: String,
        #[serde(default)]
        payload: Value,
    },
    Child {
        name: String,
        /// `completed`, `compensated` or `failed`.
        status: String,
        #[serde(default)]
        output: Option<Value>,
    },
    TimedOut {},
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskWhen {
    /// `in`, `out`, `dead_in` or `dead_out`.
    #[serde(default = "flow_in")]
    pub flow: String,
    pub topic: String,
    #[serde(default)]
    pub key: Option<Value>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub value: Option<Value>,
    /// Why it was given up, in the flows of dead letters.
    #[serde(default)]
    pub reason: Option<Cause>,
}

fn flow_in() -> String {
    "in".into()
}

/// What is absent is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Then {
    /// Of a step or task `done`, `waits`, `skipped`, `rejected`, `retryable`, `permanent`, `unknown`; of a saga its status.
    pub outcome: Option<String>,
    /// Of the error.
    pub code: Option<String>,
    /// Exactly this.
    pub output: Option<Value>,
    /// Exactly this.
    pub undo: Option<Value>,
    /// As many as these, each with at least these members.
    pub effects: Option<Vec<Value>>,
    /// What the step waits for.
    pub waits_for: Option<Vec<Value>>,
    /// Of a saga: its history, as `reserve succeeded` or `undo reserve succeeded`.
    pub history: Option<Vec<String>>,
    /// Each is part of a line that the plugin logged.
    pub logs: Vec<String>,
    /// Queries in the plugin's schema, and the rows they have to answer.
    pub sql: Vec<Rows>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    pub query: String,
    pub rows: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    scenario: Vec<Scenario>,
}

/// The scenarios of a file, or of a directory's `.toml` and `.json` files in the order of their names.
pub fn scenarios(path: &Path) -> Result<Vec<Scenario>, BadScenario> {
    let bad = |why: String| BadScenario { place: path.display().to_string(), why };
    if !path.is_dir() {
        return read(path);
    }
    let entries = fs::read_dir(path).map_err(|error| bad(error.to_string()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "toml" || kind == "json"));
    files.sort();
    let read = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    Ok(read.into_iter().flatten().collect())
}

fn read(path: &Path) -> Result<Vec<Scenario>, BadScenario> {
    let bad = |why: String| BadScenario { place: path.display().to_string(), why };
    let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let file: File = if path.extension().is_some_and(|kind| kind == "json") {
        serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| bad(error.to_string()))?
    };
    for scenario in &file.scenario {
        scenario.fault().map_or(Ok(()), |why| Err(bad(format!("{:?}: {why}", scenario.name))))?;
    }
    Ok(file.scenario)
}

impl Scenario {
    /// One that is made in code, of the members that a file has.
    pub fn from_json(scenario: Value) -> Result<Self, BadScenario> {
        let place = scenario["name"].as_str().unwrap_or("a scenario").to_owned();
        match serde_json::from_value::<Self>(scenario) {
            Ok(scenario) => match scenario.fault() {
                None => Ok(scenario),
                Some(why) => Err(BadScenario { place, why }),
            },
            Err(error) => Err(BadScenario { place, why: error.to_string() }),
        }
    }

    fn fault(&self) -> Option<String> {
        let When { execute, compensate, resume, task, saga, .. } = &self.when;
        let said = [
            execute.is_some(),
            compensate.is_some(),
            resume.is_some(),
            task.is_some(),
            saga.is_some(),
        ];
        let said = said.iter().filter(|is_said| **is_said).count();
        if said != 1 {
            return Some(format!(
                "`when` must have exactly one of execute, compensate, resume, task and saga, and has {said}"
            ));
        }
        if !self.when.arrivals.is_empty() && saga.is_none() {
            return Some(
                "arrivals come to a saga: say when.saga, or when.resume for one step".into(),
            );
        }
        let both = |exchange: &&Exchange| exchange.response.is_some() == exchange.error.is_some();
        if let Some(Exchange { request, .. }) = self.given.http.iter().find(both) {
            return Some(format!(
                "given.http: {} {} must have a response or an error, and not both",
                request.method, request.url
            ));
        }
        let flow = task.as_ref().map(|task| task.flow.as_str());
        flow.filter(|flow| !["in", "out", "dead_in", "dead_out"].contains(flow))
            .map(|flow| format!("flow {flow:?}: there are in, out, dead_in and dead_out"))
    }
}
