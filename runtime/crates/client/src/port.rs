//! What else [`Outbox`](crate::Outbox) speaks of, for an outbox of one's own. Its methods are made by the crate
//! `async-trait`, the ids of records and of sagas are those of `uuid` 1, its JSON is that of `serde_json` 1, and a
//! [`Client`](crate::Client) takes it as an `Arc<dyn Outbox>`.

pub use wasaga_domain::{
    clock::UnixMillis,
    ids::{HostId, SagaId},
    message::{Header, Message},
};
pub use wasaga_store::{
    headers,
    lanes::{Flow, Lane},
    publish_first::{First, Unpublished},
    task_out::{Backlog, Excluded, Leased, TaskOut},
    task_out_floor::Floor,
};
