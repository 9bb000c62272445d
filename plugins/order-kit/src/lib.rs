//! What the order saga and its three services share: the conversation on Kafka ([`channel`]), its bodies ([`body`]),
//! and how a service answers a command exactly once, however often and in whatever order commands come ([`service`]).
//!
//! To add a service: a [`channel::Channel`], the bodies, and a plugin that implements [`service::Service`].

pub mod body;
pub mod channel;
mod ledger;
pub mod service;
