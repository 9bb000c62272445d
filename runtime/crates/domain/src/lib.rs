//! The words of wasaga as types: ids, definitions, states, journal entries, and the ports through which the
//! engine, the plugin host and the store meet. No I/O lives here, and no clock: time is passed in.

pub mod attempt;
pub mod base64_bytes;
pub mod catalog;
pub mod clock;
pub mod dead_letter;
pub mod definition;
pub mod events;
pub mod flow;
pub mod http;
pub mod ids;
pub mod input_schema;
pub mod journal;
pub mod ledger;
pub mod lifecycle;
pub mod mail;
pub mod manifest;
pub mod message;
pub mod message_search;
pub mod outcome;
pub mod payload;
pub mod ports;
pub mod retry;
pub mod schedule;
pub mod search;
pub mod sql;
pub mod start;
pub mod state;
pub mod swap;
pub mod value_reader;
