//! What a component exports, probed one by one: any combination is a plugin, as long as it describes itself.

use metrics::Histogram;
use wasmtime::component::{Component, ComponentExportIndex};

use crate::linking::FITTING;

/// Where the contract's functions are in a component.
pub(crate) struct Exports {
    pub describe: Export,
    pub steps: Option<Steps>,
    pub tasks: Option<Tasks>,
    pub lifecycle: Option<Lifecycle>,
}

/// The interface `steps`.
pub(crate) struct Steps {
    pub guard: Export,
    pub execute: Export,
    pub resume: Export,
    pub compensate: Export,
}

/// The interface `tasks`: `handle-in` and so on.
pub(crate) struct Tasks {
    pub r#in: Export,
    pub out: Export,
    pub dead_in: Export,
    pub dead_out: Export,
}

/// The interface `lifecycle`.
pub(crate) struct Lifecycle {
    pub on_event: Export,
}

/// One function.
pub(crate) struct Export {
    pub name: &'static str,
    pub index: ComponentExportIndex,
    /// Where its calls' times go; nowhere until the plugin has a name.
    pub seconds: Histogram,
}

impl Exports {
    /// Finds what the component exports, or says what does not fit.
    pub(crate) fn probe(component: &Component) -> Result<Self, String> {
        let engine = component.engine();
        for (name, _) in component.component_type().exports(engine) {
            match name.strip_prefix("wasaga:plugin/") {
                None | Some("plugin@0.1.0" | "steps@0.1.0" | "tasks@0.1.0" | "lifecycle@0.1.0") => {
                }
                Some(_) => {
                    return Err(format!(
                        "component exports {name}, which wasaga does not know: {FITTING}"
                    ));
                }
            }
        }
        let of = |interface| Interface::find(component, interface);
        let plugin = of("wasaga:plugin/plugin@0.1.0").ok_or_else(|| {
            format!("component does not export wasaga:plugin/plugin@0.1.0, so it is no plugin: {FITTING}")
        })?;
        let steps = |steps: Interface| {
            Ok::<_, String>(Steps {
                guard: steps.function("guard")?,
                execute: steps.function("execute")?,
                resume: steps.function("resume")?,
                compensate: steps.function("compensate")?,
            })
        };
        let tasks = |tasks: Interface| {
            Ok::<_, String>(Tasks {
                r#in: tasks.function("handle-in")?,
                out: tasks.function("handle-out")?,
                dead_in: tasks.function("handle-dead-in")?,
                dead_out: tasks.function("handle-dead-out")?,
            })
        };
        let lifecycle = |lifecycle: Interface| {
            Ok::<_, String>(Lifecycle { on_event: lifecycle.function("on-event")? })
        };
        Ok(Self {
            describe: plugin.function("describe")?,
            steps: of("wasaga:plugin/steps@0.1.0").map(steps).transpose()?,
            tasks: of("wasaga:plugin/tasks@0.1.0").map(tasks).transpose()?,
            lifecycle: of("wasaga:plugin/lifecycle@0.1.0").map(lifecycle).transpose()?,
        })
    }

    /// Gives each function its histogram.
    pub(crate) fn measure(&mut self, plugin: &str) {
        let of_steps = self.steps.iter_mut().flat_map(|steps| {
            [&mut steps.guard, &mut steps.execute, &mut steps.resume, &mut steps.compensate]
        });
        let of_tasks = self.tasks.iter_mut().flat_map(|tasks| {
            let Tasks { r#in, out, dead_in, dead_out } = tasks;
            [r#in, out, dead_in, dead_out]
        });
        let of_lifecycle = self.lifecycle.iter_mut().map(|lifecycle| &mut lifecycle.on_event);
        for export in of_steps.chain(of_tasks).chain(of_lifecycle) {
            export.seconds = metrics::histogram!(
                "wasaga_guest_call_seconds", "plugin" => plugin.to_owned(), "export" => export.name
            );
        }
    }
}

struct Interface<'c> {
    component: &'c Component,
    name: &'static str,
    index: ComponentExportIndex,
}

impl<'c> Interface<'c> {
    fn find(component: &'c Component, name: &'static str) -> Option<Self> {
        let index = component.get_export_index(None, name)?;
        Some(Self { component, name, index })
    }

    fn function(&self, name: &'static str) -> Result<Export, String> {
        let index = self
            .component
            .get_export_index(Some(&self.index), name)
            .ok_or_else(|| format!("component exports {} without {name}: {FITTING}", self.name))?;
        Ok(Export { name, index, seconds: Histogram::noop() })
    }
}
