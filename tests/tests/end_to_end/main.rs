//! The whole thing, from an HTTP request to its end: each test has a world of its own (see `wasaga_tests`).

mod bad_input;
mod checker;
mod crashes;
mod messages;
mod orders;
mod outages;
mod plugins;
mod steps;
