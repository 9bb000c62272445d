//! `decide` by example, a file a rule of "Saga semantics". What holds of any definition, whatever happens, is in `prove`.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]
#![allow(clippy::unnecessary_wraps, reason = "outcomes are results")]

mod attention;
mod build;
mod cancel;
mod children;
mod deadlines;
mod entries;
mod guards;
mod interruptions;
mod mail;
mod may_have_happened;
mod migrations;
mod opened;
mod operators;
mod parallel;
mod pivots;
mod retries;
mod signals;
mod unavailable;
mod undo_order;
mod waits;
