//! The contract's functions: what each is called, takes and returns.

use wasmtime::component::{ComponentNamedList, Lift, Lower};

use crate::bindings::{
    exports::wasaga::plugin::{
        lifecycle::Event,
        steps::{Arrival, Outcome, Task, Verdict},
        tasks::{self, DeadTask, Outbound},
    },
    wasaga::plugin::types::{Effect, Failure, PayloadParam},
};

/// A function that plugins export.
pub(crate) trait Function {
    /// As in the contract.
    const NAME: &'static str;
    /// What it takes.
    type Params<'a>: ComponentNamedList + Lower;
    /// What it returns.
    type Results: ComponentNamedList + Lift + 'static;
}

type Returned<T> = (Result<T, Failure>,);
type Optional<'a> = Option<PayloadParam<'a>>;

macro_rules! functions {
    ($($type:ident, $name:literal: fn($($param:ty),*) -> $results:ty;)*) => {$(
        #[doc = concat!("`", $name, "`.")]
        pub(crate) enum $type {}

        impl Function for $type {
            const NAME: &'static str = $name;
            type Params<'a> = ($($param,)*);
            type Results = $results;
        }
    )*};
}

functions! {
    Describe, "describe": fn() -> (String,);
    Guard, "guard": fn(Task<'a>) -> Returned<Verdict>;
    Execute, "execute": fn(Task<'a>) -> Returned<Outcome>;
    Resume, "resume": fn(Task<'a>, Optional<'a>, Optional<'a>, Arrival<'a>) -> Returned<Outcome>;
    Compensate, "compensate": fn(Task<'a>, Optional<'a>) -> Returned<Outcome>;
    HandleIn, "handle-in": fn(tasks::Task<'a>) -> Returned<Vec<Effect>>;
    HandleOut, "handle-out": fn(tasks::Task<'a>) -> Returned<Outbound>;
    HandleDeadIn, "handle-dead-in": fn(DeadTask<'a>) -> Returned<Vec<Effect>>;
    HandleDeadOut, "handle-dead-out": fn(DeadTask<'a>) -> Returned<Outbound>;
    OnEvent, "on-event": fn(&'a str, &'a str, &'a str, Event<'a>) -> Returned<Vec<Effect>>;
}
