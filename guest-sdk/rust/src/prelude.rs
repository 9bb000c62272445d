//! What nearly every plugin uses.

pub use crate::{
    Lifecycle, Plugin, Steps, Tasks,
    failure::Failure,
    handler::{Effects, IntoOutcome, Json},
    message::{Effect, Message, send},
    payload::Payload,
    step::{
        Arrival, Direction, Done, Outcome, StepTask, Verdict, Wait, done, done_empty, done_json,
        wait,
    },
    task::{DeadTask, FlowTask, Outbound},
};
