//! Tests of plugins before they ship: the real sandbox and the real rules of sagas, with ports in memory in the place of
//! Kafka, of other hosts, which answer as a scenario says, and of time. SQL is the real one, on a Postgres that the caller names or
//! that is started for it.
//!
//! A [`Scenario`] is data: what is given, what happens, and what has to come of it. [`faults`] needs none: it runs each step
//! twice, fails each step, undoes each step twice and loses the host at every commit, and tells what came out otherwise.
//!
//! ```text
//! file -> scenario -> stage (plugins, clock, database) -> course (a saga, by the engine's own `decide`) -> report
//! ```

mod content;
mod course;
mod database;
mod expect;
pub mod faults;
mod hand;
mod http;
mod logs;
pub mod record;
pub mod replay;
mod report;
mod run;
mod sample;
mod scenario;
mod shadow;
mod stage;

pub use logs::capture;
pub use report::{Case, Report};
pub use run::run;
pub use scenario::{BadScenario, Scenario, scenarios};
pub use shadow::Shadow;
pub use stage::{Stage, StageError};
pub use wasaga_plugin_host::Options;
