//! What a component exports, probed one by one: any combination is a plugin, as long as it describes itself.

use std::{marker::PhantomData, sync::OnceLock};

use metrics::Histogram;
use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, Instance, TypedFunc},
};

use crate::{
    contract::{
        Compensate, Describe, Execute, Function, Guard, HandleDeadIn, HandleDeadOut, HandleIn,
        HandleOut, OnEvent, Resume,
    },
    guest::Guest,
    linking::FITTING,
    state::CallState,
};

/// Where the contract's functions are in a component.
pub(crate) struct Exports {
    pub describe: Export<Describe>,
    pub steps: Option<Steps>,
    pub tasks: Option<Tasks>,
    pub lifecycle: Option<Lifecycle>,
}

/// The interface `steps`.
pub(crate) struct Steps {
    pub guard: Export<Guard>,
    pub execute: Export<Execute>,
    pub resume: Export<Resume>,
    pub compensate: Export<Compensate>,
}

/// The interface `tasks`: `handle-in` and so on.
pub(crate) struct Tasks {
    pub r#in: Export<HandleIn>,
    pub out: Export<HandleOut>,
    pub dead_in: Export<HandleDeadIn>,
    pub dead_out: Export<HandleDeadOut>,
}

/// The interface `lifecycle`.
pub(crate) struct Lifecycle {
    pub on_event: Export<OnEvent>,
}

/// One function.
pub(crate) struct Export<F> {
    index: ComponentExportIndex,
    /// Set once the component's function of this index was found to be of these types.
    fits: OnceLock<()>,
    /// Where its calls' times go; nowhere until the plugin has a name.
    pub seconds: Histogram,
    function: PhantomData<F>,
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
                guard: steps.function()?,
                execute: steps.function()?,
                resume: steps.function()?,
                compensate: steps.function()?,
            })
        };
        let tasks = |tasks: Interface| {
            Ok::<_, String>(Tasks {
                r#in: tasks.function()?,
                out: tasks.function()?,
                dead_in: tasks.function()?,
                dead_out: tasks.function()?,
            })
        };
        let lifecycle =
            |lifecycle: Interface| Ok::<_, String>(Lifecycle { on_event: lifecycle.function()? });
        Ok(Self {
            describe: plugin.function()?,
            steps: of("wasaga:plugin/steps@0.1.0").map(steps).transpose()?,
            tasks: of("wasaga:plugin/tasks@0.1.0").map(tasks).transpose()?,
            lifecycle: of("wasaga:plugin/lifecycle@0.1.0").map(lifecycle).transpose()?,
        })
    }

    /// Whether the functions' types are the contract's; the error is of the first that is not.
    pub(crate) fn check(&self, guest: &mut Guest) -> wasmtime::Result<()> {
        guest.check(&self.describe)?;
        if let Some(Steps { guard, execute, resume, compensate }) = &self.steps {
            guest.check(guard)?;
            guest.check(execute)?;
            guest.check(resume)?;
            guest.check(compensate)?;
        }
        if let Some(Tasks { r#in, out, dead_in, dead_out }) = &self.tasks {
            guest.check(r#in)?;
            guest.check(out)?;
            guest.check(dead_in)?;
            guest.check(dead_out)?;
        }
        if let Some(Lifecycle { on_event }) = &self.lifecycle {
            guest.check(on_event)?;
        }
        Ok(())
    }

    /// Gives each function its histogram.
    pub(crate) fn measure(&mut self, plugin: &str) {
        if let Some(Steps { guard, execute, resume, compensate }) = &mut self.steps {
            guard.measure(plugin);
            execute.measure(plugin);
            resume.measure(plugin);
            compensate.measure(plugin);
        }
        if let Some(Tasks { r#in, out, dead_in, dead_out }) = &mut self.tasks {
            r#in.measure(plugin);
            out.measure(plugin);
            dead_in.measure(plugin);
            dead_out.measure(plugin);
        }
        if let Some(Lifecycle { on_event }) = &mut self.lifecycle {
            on_event.measure(plugin);
        }
    }
}

impl<F: Function> Export<F> {
    /// The instance's own function. Its types are compared once for all instances of its component: that takes longer than a
    /// small guest.
    #[allow(unsafe_code, reason = "wasmtime has no other way to leave the comparison out")]
    pub(crate) fn of<'a>(
        &self,
        instance: &Instance,
        store: &mut Store<CallState>,
    ) -> wasmtime::Result<TypedFunc<F::Params<'a>, F::Results>> {
        if self.fits.get().is_none() {
            let function = instance.get_typed_func(store, self.index)?;
            self.fits.get_or_init(|| ());
            return Ok(function);
        }
        let function = instance.get_func(store, self.index);
        let function =
            function.ok_or_else(|| wasmtime::Error::msg("the export is another component's"))?;
        // SAFETY: a function is only found where the index is of this instance's component, and of that component's
        // function `fits` says that it is of these types, of which none is a resource, whose type would be the instance's.
        Ok(unsafe { TypedFunc::new_unchecked(function) })
    }

    fn measure(&mut self, plugin: &str) {
        self.seconds = metrics::histogram!(
            "wasaga_guest_call_seconds", "plugin" => plugin.to_owned(), "export" => F::NAME
        );
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

    fn function<F: Function>(&self) -> Result<Export<F>, String> {
        let (own, name) = (self.name, F::NAME);
        let index = self
            .component
            .get_export_index(Some(&self.index), name)
            .ok_or_else(|| format!("component exports {own} without {name}: {FITTING}"))?;
        let seconds = Histogram::noop();
        Ok(Export { index, fits: OnceLock::new(), seconds, function: PhantomData })
    }
}
