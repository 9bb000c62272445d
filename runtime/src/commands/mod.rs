//! Subcommands that do something and end, a file each.

pub(crate) mod check_config;
pub(crate) mod dev;
pub(crate) mod letters;
mod letters_print;
pub(crate) mod migrate;
pub(crate) mod outbox;
pub(crate) mod plugins;
pub(crate) mod project;
pub(crate) mod pull;
pub(crate) mod replay;
pub(crate) mod saga;
mod saga_ask;
mod saga_migrate;
mod saga_print;
pub(crate) mod schedules;
pub(crate) mod swaps;
mod swaps_print;
mod table;
pub(crate) mod test;
