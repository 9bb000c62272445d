//! The driver on a real Postgres, with a scripted executor in place of the plugin host.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]
#![allow(clippy::unnecessary_wraps, reason = "outcomes are results")]

mod away;
mod bad_data;
mod children;
mod cuts;
mod flow;
mod forward;
mod guest_cuts;
mod hosts;
mod lease;
mod mail;
mod many;
mod migrate;
mod modules;
mod proxy;
mod put_off;
mod retention;
mod schedules;
mod script;
mod stage;
mod starts;
mod stop;
mod turn_back;
mod unreadable;
mod waits;
