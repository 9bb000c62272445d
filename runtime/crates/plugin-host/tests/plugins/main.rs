//! The plugin host with real components: those of plugins/testing, which `cargo xtask test` builds and points
//! `WASAGA_TEST_PLUGINS` at.

mod behind;
mod calls;
mod cost;
mod database;
mod event_store;
mod http;
mod http_sdks;
mod http_server;
mod limits;
mod loading;
mod sql;
mod stage;
mod swapping;
