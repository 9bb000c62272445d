//! What is doubtful in a plugin that loads: promises that its definitions cannot keep, and policies that nothing uses.
//! Faults that keep a plugin from loading are in `checks`.

use std::fmt;

use serde::Serialize;
use wasaga_domain::{
    definition::{Definition, Overrides, Step},
    manifest::Manifest,
    retry::RetryPolicy,
};

use crate::grants::Grants;

/// Something doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where, as `saga "order", step "pay"`; empty: the plugin as a whole.
    pub place: String,
    /// A sentence: what, and how to mend it.
    pub what: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It does not work, or not as it reads.
    Error,
    /// It may be meant so.
    Warning,
}

/// All findings: of the definitions in their order, then of what is asked for and not granted.
pub fn lint(manifest: &Manifest, overrides: &Overrides, grants: &Grants) -> Vec<Finding> {
    let mut findings = Vec::new();
    for saga in &manifest.sagas {
        match Definition::new(saga, &manifest.name, overrides) {
            Ok(definition) => {
                Lint { definition: &definition, findings: &mut findings }.saga(overrides);
            }
            Err(bad) => findings.push(error(format!("saga {:?}", bad.saga), bad.fault)),
        }
    }
    let runs = |step: &String| {
        manifest.sagas.iter().flat_map(|saga| &saga.steps).any(|used| {
            used.name == *step && used.worker.as_ref().is_none_or(|worker| *worker == manifest.name)
        })
    };
    for step in manifest.steps.iter().filter(|step| !runs(step)) {
        let what = format!(
            "no saga of this plugin runs it: drop it, unless one of another plugin names {} as its worker",
            manifest.name
        );
        findings.push(warning(format!("step {step:?}"), what));
    }
    let refused = grants.refusals(manifest).into_iter();
    findings.extend(refused.map(|refusal| error(String::new(), refusal)));
    findings
}

fn error(place: String, what: String) -> Finding {
    Finding { level: Level::Error, place, what }
}

fn warning(place: String, what: String) -> Finding {
    Finding { level: Level::Warning, place, what }
}

/// The look at one definition.
struct Lint<'a> {
    definition: &'a Definition,
    findings: &'a mut Vec<Finding>,
}

impl Lint<'_> {
    fn saga(mut self, overrides: &Overrides) {
        let steps = &self.definition.steps;
        let before = predecessors(steps);
        for (pivot, step) in steps.iter().enumerate().filter(|(_, step)| step.pivot) {
            self.pivot(pivot, step, &before);
        }
        for step in steps {
            self.deadline(step);
            self.retry(step, "retry", &step.retry);
            if let Some(undo) = &step.undo {
                self.retry(step, "the undo's retry", &undo.retry);
            }
        }
        let changed = overrides.get(&*self.definition.name).into_iter();
        for name in changed.flat_map(|changes| changes.steps.keys()) {
            if self.definition.position(name).is_none() {
                let key = format!("[definitions.{}.steps.{name}]", self.definition.name);
                let what =
                    format!("{key} of the configuration changes no step: it has none of this name");
                self.findings.push(warning(format!("saga {:?}", self.definition.name), what));
            }
        }
    }

    /// Whatever runs before a pivot has to be undone when it fails, and whatever runs after it has to succeed.
    fn pivot(&mut self, pivot: usize, step: &Step, before: &[Vec<bool>]) {
        let name = &step.name;
        for (place, other) in self.definition.steps.iter().enumerate() {
            if place == pivot {
                continue;
            }
            if before[pivot][place] {
                if other.undo.is_none() {
                    self.warn(other, format!(
                        "it has no undo, and what it did stays when the saga turns back before its pivot {name:?}: give \
                         it one, or let it come after the pivot"
                    ));
                }
            } else if before[place][pivot] {
                self.past(name, other);
            } else {
                let what = format!(
                    "it runs beside the pivot {name:?}: whether it can still be undone depends on which of them ends \
                     first: order the two by `after`"
                );
                self.findings.push(error(self.place(other), what));
            }
        }
    }

    fn past(&mut self, pivot: &str, step: &Step) {
        if step.pivot {
            self.warn(
                step,
                format!("the saga is past its pivot {pivot:?} already: one pivot is enough"),
            );
        }
        if step.undo.is_some() {
            self.warn(step, format!("its undo never runs: past the pivot {pivot:?} the saga only goes forward: drop it"));
        }
        if step.guarded {
            self.warn(step, format!(
                "its guard may reject it, and past the pivot {pivot:?} the saga can't turn back: it would ask for an \
                 operator; let the guard only skip"
            ));
        }
        if let Some(attempts) = step.retry.max_attempts() {
            self.warn(step, format!(
                "its retry ends after {attempts}, and past the pivot {pivot:?} it has to succeed: it is tried without \
                 end all the same, so say so and leave max_attempts out"
            ));
        }
    }

    fn deadline(&mut self, step: &Step) {
        if let Some(deadline) =
            self.definition.deadline.filter(|deadline| step.timeout >= *deadline)
        {
            self.warn(step, format!(
                "its timeout_ms ({}) is never reached: the saga's deadline_ms ({}) ends it first",
                step.timeout.as_millis(),
                deadline.as_millis()
            ));
        }
    }

    fn retry(&mut self, step: &Step, which: &str, policy: &RetryPolicy) {
        let unused = match policy {
            RetryPolicy::Fixed { delay_ms, max_attempts: Some(1) } if *delay_ms > 0 => {
                "names a delay for a second attempt, and there is one attempt only: write never"
            }
            RetryPolicy::Exponential { max_attempts: Some(1), .. } => {
                "names delays, and there is one attempt only: write never"
            }
            RetryPolicy::Exponential { initial_ms, multiplier, max_delay_ms, .. }
                if *multiplier > 1.0 && max_delay_ms <= initial_ms =>
            {
                "never grows: max_delay_ms is not longer than initial_ms"
            }
            _ => return,
        };
        self.warn(step, format!("{which} {unused}"));
    }

    fn place(&self, step: &Step) -> String {
        format!("saga {:?}, step {:?}", self.definition.name, step.name)
    }

    fn warn(&mut self, step: &Step, what: String) {
        self.findings.push(warning(self.place(step), what));
    }
}

/// For each step which others have to pass before it: the `after` graph's transitive closure. It has no circle.
fn predecessors(steps: &[Step]) -> Vec<Vec<bool>> {
    fn visit(place: usize, steps: &[Step], before: &mut [Option<Vec<bool>>]) -> Vec<bool> {
        if let Some(known) = &before[place] {
            return known.clone();
        }
        let mut all = vec![false; steps.len()];
        for &direct in &steps[place].after {
            let direct = usize::from(direct);
            all[direct] = true;
            for (place, is_before) in visit(direct, steps, before).into_iter().enumerate() {
                all[place] |= is_before;
            }
        }
        before[place] = Some(all.clone());
        all
    }
    let mut before = vec![None; steps.len()];
    (0..steps.len()).map(|place| visit(place, steps, &mut before)).collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let place = if self.place.is_empty() { String::new() } else { format!("{}: ", self.place) };
        write!(f, "{level}: {place}{}", self.what)
    }
}

#[cfg(test)]
mod tests;
