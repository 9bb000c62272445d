//! Real services for development and tests: Postgres, Apache Kafka and the wasm guests.
//!
//! Nothing here is async and nothing here prints to stdout: a test, the bench or a command of
//! xtask starts what it needs, holds the value, and drops it. A dropped service is stopped and
//! its directory removed; one whose owner was killed is removed by the next start (see
//! `workdir`). What is missing on the machine is fetched into a cache, or named in one line.
//!
//! To add a service: a module with `start(Options)`, `kill9`, `start_again`, `stop` and `Drop`,
//! built from `daemon::Daemon` (the process) and `workdir::WorkDir` (its files).

mod account;
pub mod daemon;
pub mod guests;
mod java;
mod kafka;
mod net;
mod pgbouncer;
mod postgres;
pub mod process;
mod workdir;

pub use kafka::{ACCOUNT as KAFKA_ACCOUNT, Kafka, Options as KafkaOptions};
pub use net::{free_port, wait_for_port};
pub use pgbouncer::PgBouncer;
pub use postgres::{Options as PostgresOptions, Postgres};
pub use wasaga_guest_build::programs::{find_binary, install_debian_packages};
