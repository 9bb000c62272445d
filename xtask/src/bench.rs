//! `cargo xtask bench`: measurements on a Postgres of their own, with fsync on.
//!
//! What is measured and how lives in the package `wasaga-bench`; its stdout is left alone.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use wasaga_services::{Postgres, PostgresOptions};

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
}

pub fn sagas(arguments: &[String], interrupt: &Interrupt) -> Result<ExitCode> {
    setup::ensure(setup::BUILD)?;
    let plugins = guests::build_all()?;
    // All of the workspace, as the tests build it: with the features of a part of it wasmtime would be built again.
    let build = "build --release --workspace --bins";
    must(&mut cargo(build.split(' ')), interrupt)?;
    let postgres = Postgres::start(PostgresOptions::default())?;
    let pid = postgres.pid().context("Postgres ended")?;
    let mut bench = Command::new(binary("wasaga-bench")?);
    bench
        .arg("sagas")
        .args(arguments)
        .env("DATABASE_URL", postgres.url())
        .env("WASAGA_BENCH_PG_BIN", postgres.bin_dir())
        .env("WASAGA_BENCH_PG_PID", pid.to_string())
        .env("WASAGA_BENCH_PLUGINS", plugins);
    Ok(exit_code(status(&mut bench, interrupt)?))
}
