//! What nearly every plugin uses.

pub use crate::{
    Lifecycle, Plugin, Steps, Tasks,
    failure::Failure,
    message::{Effect, Message, send},
    payload::Payload,
    step::{Arrival, Direction, Outcome, StepTask, Verdict, done, done_empty, done_json, wait},
    task::{DeadTask, FlowTask, Outbound},
};
