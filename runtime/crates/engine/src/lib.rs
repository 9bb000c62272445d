//! The engine: `decide` says what follows an event, without I/O; `driver` claims sagas, calls their steps and
//! commits what was decided; `inbox` works off the messages that came in.

mod breaks;
pub mod decide;
pub mod definitions;
pub mod driver;
pub mod inbox;
pub mod migration;
pub mod retention;
pub mod schedules;
