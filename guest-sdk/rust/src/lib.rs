//! Write wasaga plugins in Rust.
//!
//! A plugin is a `cdylib` built for `wasm32-unknown-unknown` (as a component) or `wasm32-wasip2`. It says what it is
//! ([`Plugin`]), runs steps of sagas ([`Steps`]), works on task flows ([`Tasks`]), or both, and one macro exports it:
//!
//! ```
//! use std::time::Duration;
//! use wasaga_guest::{manifest::{Manifest, Retry, Saga, Step, Undo}, prelude::*};
//!
//! struct Greeting;
//!
//! impl Plugin for Greeting {
//!     fn manifest() -> Manifest {
//!         let greet = Step::new("greet")
//!             .timeout(Duration::from_secs(5))
//!             .retry(Retry::fixed(Duration::from_millis(100)).attempts(3))
//!             .undo(Undo::new());
//!         Manifest::new("greeting", "1.0.0").saga(Saga::new("greeting", 1).step(greet))
//!     }
//! }
//!
//! impl Steps for Greeting {
//!     fn execute(task: &StepTask) -> Result<Outcome, Failure> {
//!         let name: String = task.input_json()?;
//!         done_json(&format!("Hello, {name}")).undo_json(&name).into()
//!     }
//!
//!     fn compensate(_: &StepTask, undo: Option<Payload>) -> Result<Outcome, Failure> {
//!         let name: Option<String> = undo.map(|undo| undo.parse()).transpose()?;
//!         wasaga_guest::info!("good-bye, {}", name.as_deref().unwrap_or("whoever you are"));
//!         done_empty().into()
//!     }
//! }
//!
//! wasaga_guest::saga_plugin!(Greeting);
//! ```
//!
//! `wasaga build` makes structs of the JSON Schemas in a project's `schemas/`, in `src/payloads.rs`, with each schema for
//! [`manifest::Saga::input_schema_text`].
//!
//! A plugin does nothing durable itself: it returns effects, which the host commits with the result. Nothing is kept
//! between two calls: each runs in a fresh instance.

// The paths of the generated export macros start with this crate's name, here too.
extern crate self as wasaga_guest;

pub mod ambient;
#[doc(hidden)]
pub mod bindings;
pub mod config;
pub mod context;
pub mod event_store;
mod export;
pub mod failure;
pub mod http;
pub mod lifecycle;
pub mod log;
pub mod manifest;
pub mod message;
pub mod payload;
pub mod prelude;
pub mod sql;
pub mod step;
pub mod task;

pub use export::{Lifecycle, Plugin, Steps, Tasks};
