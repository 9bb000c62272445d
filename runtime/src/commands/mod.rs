//! Subcommands that do something and end, a file each.

pub(crate) mod check_config;
pub(crate) mod migrate;
pub(crate) mod plugins;
