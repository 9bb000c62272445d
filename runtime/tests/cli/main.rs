//! The binary, as its user runs it. Needs `WASAGA_TEST_POSTGRES`: run by `cargo xtask test`.

mod config;
mod dead_letters;
mod migrate;
mod outbox;
mod plugins;
mod retention;
mod run;
mod saga;
mod schedules;
mod wasaga;
