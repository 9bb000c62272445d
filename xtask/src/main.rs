//! The project's commands: `cargo xtask COMMAND`. One file a command.
//!
//! To add a command: a module with `run`, a variant of `Command`, a line in `dispatch`. Long
//! waits take an `Interrupt`, and services are values that stop when they are dropped: whatever
//! ends a command, nothing of it stays behind.

mod bench;
mod breaks;
mod demo;
mod guests;
mod interrupt;
mod lint;
mod prove;
mod release;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::interrupt::Interrupt;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and measures wasaga")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the plugins to WebAssembly components
    Guests(guests::Arguments),
    /// Run the order saga on embedded defaults, and balance its books
    Demo(demo::Arguments),
    /// Run all tests on a real Postgres and a real Apache Kafka
    Test(test::Arguments),
    /// Break a rule at a time, and see that tests notice
    Breaks,
    /// Prove what holds of any saga, over random definitions and whatever may happen to them
    Prove(prove::Arguments),
    /// Make the files of a release: the order saga's plugins, and their sums
    Release(release::Arguments),
    /// Check formatting and lints
    Lint,
    /// Measure
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => return failed(&error),
    };
    let result = dispatch(Arguments::parse().command, &interrupt);
    if let Some(code) = interrupt.exit_code() {
        return code;
    }
    result.unwrap_or_else(|error| failed(&error))
}

fn dispatch(command: Command, interrupt: &Interrupt) -> Result<ExitCode> {
    match command {
        Command::Guests(arguments) => guests::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments, interrupt),
        Command::Test(arguments) => test::run(&arguments, interrupt),
        Command::Breaks => breaks::run(interrupt),
        Command::Prove(arguments) => prove::run(&arguments, interrupt),
        Command::Release(arguments) => release::run(&arguments),
        Command::Lint => lint::run(interrupt),
        Command::Bench(bench) => bench::run(&bench, interrupt),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // No back trace: these errors tell a person what to do.
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
