//! The plugin host with real components: those of plugins/testing, which `cargo xtask test` builds and points
//! `WASAGA_TEST_PLUGINS` at.

mod calls;
mod cost;
mod database;
mod event_store;
mod loading;
mod sql;
mod stage;
mod swapping;
