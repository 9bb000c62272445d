//! The routes on a real store, with a stand-in for the engine that only starts and posts mail. Needs
//! `WASAGA_TEST_POSTGRES`: run by `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod bad_input;
mod dead_letters;
mod decoded;
mod events;
mod health;
mod host;
mod migrate;
mod outbox;
mod retention;
mod sagas;
mod schedules;
mod search;
mod swaps;
mod verbs;
mod waits;
