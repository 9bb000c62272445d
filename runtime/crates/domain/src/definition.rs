//! A saga definition as the engine runs it: the manifest's, with the operator's overrides.

use std::{collections::BTreeMap, collections::HashSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Digest, PluginName},
    input_schema::{InputSchema, Misfit},
    manifest::{self, Compensation, OnUndoFailure},
    payload::Payload,
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
    pub input_schema: Option<Arc<InputSchema>>,
    /// The plugin that defines it.
    pub plugin: PluginName,
    /// Where its sagas' lives are published.
    pub lifecycle_topic: Option<Arc<str>>,
    /// From the start; then the saga turns back.
    pub deadline: Option<Duration>,
    /// Its sagas keep the code they started with.
    pub pin_workers: bool,
    /// The modules that a saga started now keeps, by worker; whoever knows what is active fills it in.
    pub pins: Pins,
}

/// Modules by the plugin that they are of.
pub type Pins = BTreeMap<PluginName, Digest>;

/// A step of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Unique in the definition.
    pub name: Arc<str>,
    /// The plugin that runs it.
    pub worker: PluginName,
    /// The places of the steps that have to pass first.
    pub after: Vec<u16>,
    /// Past it the saga only goes forward.
    pub pivot: bool,
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
        if saga.deadline_ms == Some(0) {
            return Err(bad("deadline_ms must be at least 1".into()));
        }
        let overrides = overrides.get(&saga.name).map(|changes| &changes.steps);
        let mut names = HashSet::new();
        let after = predecessors(&saga.steps).map_err(bad)?;
        let steps = saga.steps.iter().zip(after).map(|(step, after)| {
            if step.name.is_empty() || step.name.len() > 100 || !names.insert(&step.name) {
                return Err(bad(format!(
                    "step {:?}: its name must have 1 to 100 characters and be unique",
                    step.name
                )));
            }
            let changes = overrides.and_then(|steps| steps.get(&step.name));
            let step = Step::new(step, after, plugin, changes);
            step.fault().map_or(Ok(step.clone()), |fault| {
                Err(bad(format!("step {:?}: {fault}", step.name)))
            })
        });
        Ok(Self {
            name: saga.name.as_str().into(),
            version: saga.version,
            steps: steps.collect::<Result<_, _>>()?,
            input_schema: saga.input_schema.clone().map(InputSchema::new).map(Arc::new),
            plugin: plugin.clone(),
            lifecycle_topic: saga.lifecycle_topic.as_deref().map(Arc::from),
            deadline: saga.deadline_ms.map(Duration::from_millis),
            pin_workers: saga.pin_workers,
            pins: Pins::new(),
        })
    }

    /// The same, with the modules that its sagas keep where they keep any; `active` knows a plugin's module.
    #[must_use]
    pub fn pinned(mut self, active: impl Fn(&PluginName) -> Option<Digest>) -> Self {
        if self.pin_workers {
            let pin = |step: &Step| Some((step.worker.clone(), active(&step.worker)?));
            self.pins = self.steps.iter().filter_map(pin).collect();
        }
        self
    }

    /// Where `input` does not fit; at most 50 places. An error where the schema itself is none.
    pub fn misfits(&self, input: &serde_json::Value) -> Result<Vec<Misfit>, String> {
        let schema = self.input_schema.as_ref();
        let misfits = schema.map_or(Ok(Vec::new()), |schema| schema.misfits(input));
        misfits.map_err(|error| {
            format!("input_schema of {} version {}: {error}", self.name, self.version)
        })
    }

    /// Why a start with this input is refused, in one sentence; nothing where it fits.
    pub fn refusal(&self, input: &Payload) -> Option<String> {
        self.input_schema.as_ref()?;
        let input = match serde_json::from_slice(&input.data) {
            Ok(input) => input,
            Err(error) => return Some(format!("the input is not JSON: {error}")),
        };
        match self.misfits(&input) {
            Err(error) => Some(error),
            Ok(misfits) if misfits.is_empty() => None,
            Ok(misfits) => {
                let place = |misfit: &Misfit| format!("{:?}: {}", misfit.pointer, misfit.detail);
                let places: Vec<_> = misfits.iter().take(5).map(place).collect();
                Some(format!("the input does not fit the schema: {}", places.join("; ")))
            }
        }
    }

    /// The place of the step of this name.
    pub fn position(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|candidate| &*candidate.name == step)
    }
}

impl Step {
    fn new(
        step: &manifest::Step,
        after: Vec<u16>,
        plugin: &PluginName,
        changes: Option<&StepOverride>,
    ) -> Self {
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
            after,
            pivot: step.pivot,
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

/// For each step the places of those it comes after: what `after` names, or the step before it in the list. Refused
/// where a name is unknown, or where steps wait for each other.
fn predecessors(steps: &[manifest::Step]) -> Result<Vec<Vec<u16>>, String> {
    let place = |name: &String| steps.iter().position(|step| step.name == *name);
    let mut all = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let after = match &step.after {
            None => number.checked_sub(1).map(|before| before as u16).into_iter().collect(),
            Some(names) => {
                let known = |name: &String| {
                    let place = place(name).ok_or_else(|| {
                        format!(
                            "step {:?}: after names {name:?}, which is no step of it",
                            step.name
                        )
                    })?;
                    Ok::<_, String>(place as u16)
                };
                names.iter().map(known).collect::<Result<_, _>>()?
            }
        };
        all.push(after);
    }
    match circle(&all) {
        None => Ok(all),
        Some(circle) => {
            let names: Vec<_> = circle.iter().map(|&step| steps[step].name.as_str()).collect();
            Err(format!(
                "steps {} wait for each other: break the circle in `after`",
                names.join(", ")
            ))
        }
    }
}

/// Steps that wait for each other, or for such, if there are any: what is left when all that can pass have passed.
fn circle(after: &[Vec<u16>]) -> Option<Vec<usize>> {
    let mut passed = vec![false; after.len()];
    loop {
        let is_next = |step: &usize| {
            !passed[*step] && after[*step].iter().all(|&before| passed[usize::from(before)])
        };
        let next: Vec<_> = (0..after.len()).filter(is_next).collect();
        if next.is_empty() {
            let left: Vec<_> = (0..after.len()).filter(|&step| !passed[step]).collect();
            return (!left.is_empty()).then_some(left);
        }
        for step in next {
            passed[step] = true;
        }
    }
}
