//! All SQL of the host, a file a table. Nothing else knows sqlx, and nothing here decides: functions are named
//! noun then verb, take what to write and answer with what was written.
//!
//! To add a table: a migration (up and down), a file of its name here, a test on a real Postgres.

pub mod activation_history;
pub mod commit;
pub mod commit_guest;
mod connections;
pub mod dead_letter_edit;
pub mod dead_letter_end;
pub mod dead_letter_read;
pub mod dead_letter_search;
pub mod definitions;
pub mod emit;
mod emit_build;
mod emit_check;
pub mod error;
pub mod events_read;
mod flow_sql;
mod guest_begin;
mod guest_events;
mod guest_filter;
mod guest_gate;
mod guest_migrations;
mod guest_numeric;
mod guest_pool;
mod guest_roles;
pub mod guest_sql;
mod guest_statement;
mod guest_values;
pub mod handled_topics;
pub mod headers;
pub mod horizons;
pub mod hosts;
mod http_record;
pub mod lanes;
pub mod lease;
pub mod mail;
pub mod migrations;
pub mod modules;
pub mod next_offsets;
pub mod outbox;
pub mod outbox_find;
pub mod outbox_memory;
pub mod pool;
pub mod publish_first;
pub mod reach;
pub mod retention;
pub mod saga_claim;
pub mod saga_past;
pub mod saga_read;
pub mod saga_search;
pub mod saga_start;
pub mod schedules;
pub mod scratch;
pub mod settled;
pub mod statistics;
pub mod steps_needed;
mod swaps;
pub mod task_in;
pub mod task_in_insert;
pub mod task_out;
pub mod task_out_floor;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "testing")]
mod testing_breaks;
#[cfg(feature = "testing")]
pub mod testing_sql;

pub use error::StoreError;
pub use outbox::Outbox;
pub use pool::{Store, StoreOptions};
/// For those whose transactions [`emit::emit`] takes.
pub use sqlx;
