//! The driver on a real Postgres, with a scripted executor in place of the plugin host.

mod bad_data;
mod cuts;
mod forward;
mod hosts;
mod many;
mod proxy;
mod put_off;
mod script;
mod stage;
mod starts;
mod stop;
mod turn_back;
mod waits;
