//! The traits a plugin implements, and the macros that export it.

use crate::{
    bindings::{
        lifecycle::exports::wasaga::plugin::lifecycle::{Event, Guest as LifecycleGuest},
        plugin::exports::wasaga::plugin::plugin::Guest as PluginGuest,
        steps::exports::wasaga::plugin::steps::Guest as StepsGuest,
        tasks::exports::wasaga::plugin::tasks::Guest as TasksGuest,
    },
    failure::Failure,
    lifecycle::Happened,
    log::log_panics,
    manifest::Manifest,
    message::Effect,
    payload::Payload,
    step::{Arrival, Outcome, StepTask, Verdict},
    task::{DeadTask, FlowTask, Outbound},
};

/// What the plugin is: asked once when it is loaded, without any capability granted.
pub trait Plugin {
    /// Its name, its sagas, what it subscribes to and what it wants to be granted.
    fn manifest() -> Manifest;
}

/// Steps of sagas, and what undoes them. `task.attempt.step` tells which.
pub trait Steps: Plugin {
    /// Called before `execute` for the steps that the manifest marks `guarded`.
    fn guard(task: &StepTask) -> Result<Verdict, Failure> {
        let _ = task;
        Ok(Verdict::Proceed)
    }

    /// One attempt of a step.
    fn execute(task: &StepTask) -> Result<Outcome, Failure>;

    /// After a wait, of `execute` or of `compensate`: `task.attempt.direction` tells which.
    fn resume(
        task: &StepTask,
        memo: Option<Payload>,
        undo: Option<Payload>,
        arrival: Arrival,
    ) -> Result<Outcome, Failure> {
        let _ = (memo, undo, arrival);
        Err(task.no_resume())
    }

    /// Undoes a step that is done, or may be: then `undo` is what its wait left, or nothing.
    fn compensate(task: &StepTask, undo: Option<Payload>) -> Result<Outcome, Failure> {
        let _ = undo;
        Err(task.no_undo())
    }
}

/// Work on the task flows.
pub trait Tasks: Plugin {
    /// A message of a topic that the manifest subscribes to without a correlation.
    fn handle_in(task: &FlowTask) -> Result<Vec<Effect>, Failure> {
        let message = format!("no handler for messages of topic {:?}", task.message.topic);
        Err(Failure::permanent("not-handled", message))
    }

    /// A message on its way to one of the manifest's `out_topics`.
    fn handle_out(task: &FlowTask) -> Result<Outbound, Failure> {
        Ok(Outbound::Publish(task.message.clone()))
    }

    /// A message of one of the manifest's `dead_in_topics` that was given up on its way in. Success ends the letter.
    fn handle_dead_in(dead: &DeadTask) -> Result<Vec<Effect>, Failure> {
        let _ = dead;
        Ok(Vec::new())
    }

    /// A message to one of the manifest's `dead_out_topics` that was given up on its way out: what is published in its
    /// place. Success ends the letter.
    fn handle_dead_out(dead: &DeadTask) -> Result<Outbound, Failure> {
        let _ = dead;
        Ok(Outbound::Drop)
    }
}

/// What a plugin makes of its sagas' lives. An event is handed over again until this succeeds, as a message is; the saga
/// does not wait for it.
pub trait Lifecycle: Plugin {
    /// An event; the effects are committed with its being heard.
    fn on_event(happened: &Happened) -> Result<Vec<Effect>, Failure>;
}

impl<T: Plugin> PluginGuest for T {
    fn describe() -> String {
        log_panics();
        T::manifest().to_json()
    }
}

impl<T: Steps> StepsGuest for T {
    fn guard(task: StepTask) -> Result<Verdict, Failure> {
        log_panics();
        <T as Steps>::guard(&task)
    }

    fn execute(task: StepTask) -> Result<Outcome, Failure> {
        log_panics();
        <T as Steps>::execute(&task)
    }

    fn resume(
        task: StepTask,
        memo: Option<Payload>,
        undo: Option<Payload>,
        arrival: Arrival,
    ) -> Result<Outcome, Failure> {
        log_panics();
        <T as Steps>::resume(&task, memo, undo, arrival)
    }

    fn compensate(task: StepTask, undo: Option<Payload>) -> Result<Outcome, Failure> {
        log_panics();
        <T as Steps>::compensate(&task, undo)
    }
}

impl<T: Tasks> TasksGuest for T {
    fn handle_in(task: FlowTask) -> Result<Vec<Effect>, Failure> {
        log_panics();
        <T as Tasks>::handle_in(&task)
    }

    fn handle_out(task: FlowTask) -> Result<Outbound, Failure> {
        log_panics();
        <T as Tasks>::handle_out(&task)
    }

    fn handle_dead_in(dead: DeadTask) -> Result<Vec<Effect>, Failure> {
        log_panics();
        <T as Tasks>::handle_dead_in(&dead)
    }

    fn handle_dead_out(dead: DeadTask) -> Result<Outbound, Failure> {
        log_panics();
        <T as Tasks>::handle_dead_out(&dead)
    }
}

impl<T: Lifecycle> LifecycleGuest for T {
    fn on_event(
        saga_id: String,
        saga: String,
        event_id: String,
        event: Event,
    ) -> Result<Vec<Effect>, Failure> {
        log_panics();
        <T as Lifecycle>::on_event(&Happened { saga_id, saga, event_id, event })
    }
}

/// Exports a type that implements [`Plugin`] and [`Steps`].
#[macro_export]
macro_rules! saga_plugin {
    ($plugin:ident) => {
        $crate::bindings::plugin::export_plugin!($plugin);
        $crate::bindings::steps::export_steps!($plugin);
    };
}

/// Exports a type that implements [`Plugin`], [`Steps`] and [`Lifecycle`].
#[macro_export]
macro_rules! observing_saga_plugin {
    ($plugin:ident) => {
        $crate::saga_plugin!($plugin);
        $crate::bindings::lifecycle::export_lifecycle!($plugin);
    };
}

/// Exports a type that implements [`Plugin`] and [`Tasks`].
#[macro_export]
macro_rules! task_plugin {
    ($plugin:ident) => {
        $crate::bindings::plugin::export_plugin!($plugin);
        $crate::bindings::tasks::export_tasks!($plugin);
    };
}

/// Exports a type that implements [`Plugin`], [`Steps`] and [`Tasks`].
#[macro_export]
macro_rules! saga_and_task_plugin {
    ($plugin:ident) => {
        $crate::saga_plugin!($plugin);
        $crate::bindings::tasks::export_tasks!($plugin);
    };
}
