//! A saga definition as the engine runs it: the manifest's, with the operator's overrides.

use std::{collections::BTreeMap, collections::HashSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ids::PluginName,
    manifest::{self, Compensation, OnUndoFailure},
    retry::RetryPolicy,
};

/// A saga definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: Arc<str>,
    /// From 1.
    pub version: u32,
    /// In order; never empty.
    pub steps: Vec<Step>,
    /// What started sagas have to fit.
    pub input_schema: Option<Arc<serde_json::Value>>,
}

/// A step of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Unique in the definition.
    pub name: Arc<str>,
    /// The plugin that runs it.
    pub worker: PluginName,
    /// Ask `guard` first.
    pub guarded: bool,
    /// The bound of an attempt.
    pub timeout: Duration,
    /// Of forward attempts.
    pub retry: RetryPolicy,
    /// Absent: there is nothing to undo.
    pub undo: Option<Undo>,
}

/// How a step is undone.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// Of undo attempts.
    pub retry: RetryPolicy,
    /// The bound of an undo attempt.
    pub timeout: Duration,
    /// What follows when the attempts are exhausted.
    pub on_failure: OnUndoFailure,
}

/// What is wrong with a definition.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("saga {saga:?}: {fault}")]
pub struct BadDefinition {
    /// The definition's name.
    pub saga: String,
    /// A sentence that says what, where and how to mend it.
    pub fault: String,
}

/// The operator's changes to definitions, as the configuration has them: `[definitions.NAME.steps.STEP]`.
pub type Overrides = BTreeMap<String, DefinitionOverride>;

/// The operator's changes to one definition, all its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefinitionOverride {
    /// By the step's name.
    #[serde(default)]
    pub steps: BTreeMap<String, StepOverride>,
}

/// The operator's changes to a step; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepOverride {
    /// Milliseconds.
    pub timeout_ms: Option<u64>,
    /// Of forward attempts.
    pub retry: Option<RetryPolicy>,
    /// Milliseconds.
    pub undo_timeout_ms: Option<u64>,
    /// Of undo attempts.
    pub undo_retry: Option<RetryPolicy>,
}

impl Definition {
    /// The definition that `plugin` describes, with the operator's overrides.
    pub fn new(
        saga: &manifest::Saga,
        plugin: &PluginName,
        overrides: &Overrides,
    ) -> Result<Self, BadDefinition> {
        let bad = |fault: String| BadDefinition { saga: saga.name.clone(), fault };
        if saga.name.is_empty() || saga.name.len() > 100 {
            return Err(bad("its name must have 1 to 100 characters".into()));
        }
        if saga.version == 0 || i32::try_from(saga.version).is_err() {
            return Err(bad(format!("version {}: must be in 1..2147483647", saga.version)));
        }
        if saga.steps.is_empty() || saga.steps.len() > 1000 {
            return Err(bad(format!("{} steps: must have 1 to 1000", saga.steps.len())));
        }
        let overrides = overrides.get(&saga.name).map(|changes| &changes.steps);
        let mut names = HashSet::new();
        let steps = saga.steps.iter().map(|step| {
            if step.name.is_empty() || step.name.len() > 100 || !names.insert(&step.name) {
                return Err(bad(format!(
                    "step {:?}: its name must have 1 to 100 characters and be unique",
                    step.name
                )));
            }
            let changes = overrides.and_then(|steps| steps.get(&step.name));
            let step = Step::new(step, plugin, changes);
            step.fault().map_or(Ok(step.clone()), |fault| {
                Err(bad(format!("step {:?}: {fault}", step.name)))
            })
        });
        Ok(Self {
            name: saga.name.as_str().into(),
            version: saga.version,
            steps: steps.collect::<Result<_, _>>()?,
            input_schema: saga.input_schema.clone().map(Arc::new),
        })
    }

    /// The place of the step of this name.
    pub fn position(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|candidate| &*candidate.name == step)
    }
}

impl Step {
    fn new(step: &manifest::Step, plugin: &PluginName, changes: Option<&StepOverride>) -> Self {
        let none = StepOverride::default();
        let changes = changes.unwrap_or(&none);
        let undo = match &step.compensation {
            Compensation::None => None,
            Compensation::Undo(undo) => Some(Undo {
                retry: changes.undo_retry.as_ref().unwrap_or(&undo.retry).clone(),
                timeout: Duration::from_millis(changes.undo_timeout_ms.unwrap_or(undo.timeout_ms)),
                on_failure: undo.on_failure,
            }),
        };
        Self {
            name: step.name.as_str().into(),
            worker: step.worker.as_ref().unwrap_or(plugin).clone(),
            guarded: step.guarded,
            timeout: Duration::from_millis(changes.timeout_ms.unwrap_or(step.timeout_ms)),
            retry: changes.retry.as_ref().unwrap_or(&step.retry).clone(),
            undo,
        }
    }

    fn fault(&self) -> Option<String> {
        if self.timeout.is_zero() || self.undo.as_ref().is_some_and(|undo| undo.timeout.is_zero()) {
            return Some("its timeout must be at least 1 ms".into());
        }
        let undo = self.undo.as_ref().and_then(|undo| undo.retry.fault());
        let forward = self.retry.fault().map(|fault| format!("retry: {fault}"));
        forward.or_else(|| undo.map(|fault| format!("undo retry: {fault}")))
    }
}
