//! What a worker on the task flows is given, and what it returns.

pub use crate::bindings::tasks::exports::wasaga::plugin::tasks::{
    DeadTask, Outbound, Task as FlowTask,
};
