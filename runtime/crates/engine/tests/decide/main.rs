//! `decide` by example, a file a rule of "Saga semantics", and by simulation: random definitions, outcomes, mail and
//! crashes against a model of the world that knows nothing of `decide`.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]
#![allow(clippy::unnecessary_wraps, reason = "outcomes are results")]

mod attention;
mod build;
mod cancel;
mod children;
mod deadlines;
mod exact_undo;
mod guards;
mod interruptions;
mod mail;
mod may_have_happened;
mod opened;
mod operators;
mod parallel;
mod pivots;
mod retries;
mod signals;
mod simulation;
mod unavailable;
mod undo_order;
mod waits;
mod world;
