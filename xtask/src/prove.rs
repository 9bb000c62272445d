//! `cargo xtask prove`: the proof of "Saga semantics" at length, on a Postgres of its own. `cargo xtask test` runs it with
//! fewer cases.

use std::process::ExitCode;

use anyhow::Result;
use wasaga_services::{Postgres, PostgresOptions};

use crate::interrupt::Interrupt;
use crate::setup;
use crate::workspace::{cargo, exit_code, status};

#[derive(clap::Args)]
pub struct Arguments {
    /// Cases on the store in memory
    #[arg(long, default_value_t = 100_000)]
    cases: u32,
    /// Cases on Postgres
    #[arg(long, default_value_t = 500)]
    postgres_cases: u32,
    /// Where chance begins, as a failure names it; else anywhere
    #[arg(long)]
    seed: Option<u64>,
}

pub fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<ExitCode> {
    setup::ensure(setup::BUILD)?;
    let postgres = Postgres::start(PostgresOptions::default())?;
    // One after the other: each is on all cores.
    let test = "test --release --workspace --test prove -- --nocapture --test-threads=1";
    let mut test = cargo(test.split(' '));
    test.env("WASAGA_TEST_POSTGRES", postgres.url())
        .env("WASAGA_PROVE_CASES", arguments.cases.to_string())
        .env("WASAGA_PROVE_POSTGRES_CASES", arguments.postgres_cases.to_string());
    if let Some(seed) = arguments.seed {
        test.env("WASAGA_PROVE_SEED", seed.to_string());
    }
    Ok(exit_code(status(&mut test, interrupt)?))
}
