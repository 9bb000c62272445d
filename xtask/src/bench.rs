//! `cargo xtask bench`: measurements on a Postgres of their own, with fsync on, and on a Kafka of their own
//! where they need one.
//!
//! What is measured and how lives in the package `wasaga-bench`; its stdout is left alone.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use wasaga_services::{Kafka, KafkaOptions, Postgres, PostgresOptions};

use crate::interrupt::Interrupt;
use crate::workspace::{binary, cargo, exit_code, must, status};
use crate::{guests, setup};

#[derive(clap::Subcommand)]
pub enum Bench {
    /// A four-step saga from its start to its committed end
    Sagas {
        /// Arguments of the bench: --concurrency N, --sagas N, --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// What a plugin costs, by its language: calls, compilation, loading, memory
    Call {
        /// Arguments of the bench: --calls N, --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Records of a real Kafka to finished tasks, beside the consumer and the SQL alone
    Inbox {
        /// Arguments of the bench: --records N, --keys N, --concurrency N, --rounds N, --seconds N, --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The latency of one plugin's sagas while another plugin misbehaves
    Neighbours {
        /// Arguments of the bench: --rate N, --seconds N, --at-once N, --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The outbox's relay on a real Kafka, beside the producer and the SQL alone
    Relay {
        /// Arguments of the bench: --messages N, --keys N, --behind N, --rounds N, --seconds N, --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Steps while a plugin is swapped under full load, beside steps while it is not
    Swap {
        /// Arguments of the bench: --swaps N, --every-ms N, --concurrency N, --rounds N, --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

pub fn run(bench: &Bench, interrupt: &Interrupt) -> Result<ExitCode> {
    let (name, arguments, needs_kafka) = match bench {
        Bench::Sagas { arguments } => ("sagas", arguments, false),
        Bench::Call { arguments } => ("call", arguments, false),
        Bench::Inbox { arguments } => ("inbox", arguments, true),
        Bench::Neighbours { arguments } => ("neighbours", arguments, false),
        Bench::Relay { arguments } => ("relay", arguments, true),
        Bench::Swap { arguments } => ("swap", arguments, false),
    };
    setup::ensure(
        setup::BUILD.into_iter().chain(setup::KAFKA.into_iter().filter(|_| needs_kafka)),
    )?;
    let (plugins, _) = guests::build_all()?;
    // All of the workspace, as the tests build it: with the features of a part of it wasmtime would be built again.
    let build = "build --release --workspace --bins";
    must(&mut cargo(build.split(' ')), interrupt)?;
    let postgres = Postgres::start(PostgresOptions::default())?;
    let pid = postgres.pid().context("Postgres ended")?;
    let mut bench = Command::new(binary("wasaga-bench")?);
    bench
        .arg(name)
        .args(arguments)
        .env("DATABASE_URL", postgres.url())
        .env("WASAGA_BENCH_PG_BIN", postgres.bin_dir())
        .env("WASAGA_BENCH_PG_PID", pid.to_string())
        .env("WASAGA_BENCH_PLUGINS", plugins);
    let as_shipped = KafkaOptions { heap_mb: None, in_memory: true, ..KafkaOptions::default() };
    let kafka = needs_kafka.then(|| Kafka::start(as_shipped)).transpose()?;
    if let Some(kafka) = &kafka {
        bench.env("WASAGA_BENCH_KAFKA", kafka.bootstrap());
    }
    Ok(exit_code(status(&mut bench, interrupt)?))
}
