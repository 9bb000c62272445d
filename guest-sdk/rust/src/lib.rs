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
//! #[wasaga_guest::steps]
//! impl Greeting {
//!     #[step]
//!     fn greet(#[input] name: String) -> Result<Done, Failure> {
//!         Ok(done_json(&format!("Hello, {name}")).undo_json(&name))
//!     }
//!
//!     #[compensate("greet")]
//!     fn take_back(#[undo] name: Option<String>) -> Result<(), Failure> {
//!         wasaga_guest::info!("good-bye, {}", name.as_deref().unwrap_or("whoever you are"));
//!         Ok(())
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
pub mod handler;
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
/// Implements [`Steps`] by functions of the plugin's own, each for one kind of call of one step:
///
/// | attribute | called |
/// |---|---|
/// | `#[step]`, `#[step("name")]` | to execute the step; without a name, that of the function's |
/// | `#[guard("name")]` | before, where the manifest marks the step `guarded`; it returns a `Verdict` |
/// | `#[resume("name")]`, `#[resume("name", undo)]` | after a wait of the step, or of its undo |
/// | `#[compensate("name")]` | to undo the step |
///
/// A handler is an ordinary function without `self`, which tests call as it is. Its parameters come from
///
/// | parameter | |
/// |---|---|
/// | `#[input]` | the saga's input, as JSON |
/// | `#[output("name")]` | what another step returned; an `Option` where it may not be done |
/// | `#[undo]` | what the step left for its undo; an `Option` where it may have ended before it left any |
/// | `#[memo]` | what the wait left for its resume |
/// | `&StepTask`, `&mut Effects`, `Arrival` | by their types: the attempt, what is committed with the outcome, what ended the wait |
///
/// It returns `Result<_, Failure>` of what is [`handler::IntoOutcome`]: `Done`, `Wait`, `Outcome`, `()`, or `Json` of an
/// output. A payload that does not fit is a permanent failure that says where. A handler of a step that has no `#[step]`, and
/// a parameter of which nobody knows where it comes from, do not compile.
pub use wasaga_guest_macros::steps;
