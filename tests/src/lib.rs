//! The harness of the end-to-end tests: the real host as a child process, on a real Postgres, a real broker and real
//! plugins. The tests are in `tests/end_to_end`, a file a subject.
//!
//! A test makes a [`World`] (a database, a broker, a plugin directory), starts one or more hosts in it, talks to them
//! over HTTP, reads what they wrote by SQL, and ends with [`check::promises`]. Whatever a test starts is ended when its
//! values are dropped, also by a panic; a failed test prints the logs of its hosts.
//!
//! Nothing here sleeps to let something happen: [`eventually`] asks again and again, within a bound. To add a check: a
//! row in the file of its promise in `check`; a way to break things: a method of [`Host`], or of the services in
//! `wasaga-services`. An example has one test, whose stories share a host.

mod api;
mod authority;
pub mod check;
mod directory;
pub mod environment;
mod host;
mod order;
mod outbox;
mod plugins;
mod program;
mod registry;
mod wait;
mod world;

pub use api::{Answer, Api};
pub use authority::{Authority, Front};
pub use directory::Directory;
pub use host::{Host, HostOptions};
pub use order::Order;
pub use outbox::Record;
pub use plugins::{ORDER_PLUGINS, PluginDirectory, bytes_of};
pub use program::{Program, Running, example};
pub use registry::Registry;
pub use wait::{PATIENCE, eventually};
pub use world::World;
