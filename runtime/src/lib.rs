//! The host: configuration, command line, and how its parts are put together and stopped. What the parts do is in
//! their crates; here is only what needs several of them.
//!
//! To add a subcommand: a variant in `cli`, a file in `commands`.

pub mod cli;
mod commands;
pub mod config;
mod host;
mod logging;
