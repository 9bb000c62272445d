//! The command line. Exit codes: 0 it is done; 1 it failed; 2 the command line or the configuration is wrong. A failure
//! is one line on standard error.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::{
    commands::{
        check_config, dev, letters, migrate, outbox, plugins, project, pull, replay, saga,
        schedules, swaps, test,
    },
    config::{Config, ConfigError},
    host, logging,
};

/// Runs sagas whose steps are WebAssembly components, on Postgres and Kafka.
#[derive(Debug, Parser)]
#[command(name = "wasaga", version, about)]
struct Cli {
    /// The configuration file [default: wasaga.toml, if it is there]
    #[arg(long, global = true, env = "WASAGA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the host until SIGTERM or SIGINT (the default)
    Run,
    /// Bring the database's schema up or down
    #[command(subcommand)]
    Migrate(Migrate),
    /// Check plugins, and change what all hosts run of them
    #[command(subcommand)]
    Plugins(Plugins),
    /// Write the project of a new plugin
    New(project::New),
    /// Build a project into a component
    Build(project::Build),
    /// Write the types of a project's payloads, of its schemas/
    Types(project::Types),
    /// Build a project on every save, try it, and swap it into a host
    Dev(dev::Dev),
    /// Try a plugin's scenarios, and what faults make of its sagas, without a host
    Test(test::Test),
    /// Find sagas, look at them, and ask something of them
    Saga(saga::Saga),
    /// Find messages of the outbox, look at them, and add some
    Outbox(outbox::Outbox),
    /// Find messages that were given up, look at them, mend them, and redrive or discard them
    DeadLetters(letters::DeadLetters),
    /// Look at what starts by the clock
    #[command(subcommand)]
    Schedules(Schedules),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum Migrate {
    /// Apply what is missing
    Up,
    /// Take back the last migration, or all that are newer than --to
    Down(Down),
    /// List the migrations, and which the database has
    Status,
    /// Write the two files of a new migration into ./migrations
    New {
        /// As `add_tenants`
        name: String,
    },
}

#[derive(Debug, Args)]
struct Down {
    /// The version that stays; 0 takes everything away
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
}

#[derive(Debug, Subcommand)]
enum Plugins {
    /// Load a component, check it, and print its manifest and grants
    Check {
        /// A .wasm file
        file: PathBuf,
    },
    /// Say what is doubtful about a component: undos that are missing, policies that nothing uses, grants
    Lint(Lint),
    #[command(flatten)]
    Swaps(swaps::Swaps),
    /// Make the calls of past sagas once more, of the module that ran then and of another one, and show what that does
    /// otherwise; nothing of it stays
    Replay(replay::Replay),
    /// Fetch a component from an OCI registry
    Pull(pull::Pull),
}

#[derive(Debug, Args)]
struct Lint {
    /// A .wasm file
    file: PathBuf,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Schedules {
    /// List the schedules, with their next and last occurrence
    List,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read the configuration as a run would, and say what is wrong with it
    Check,
}

/// The whole program.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasaga: {error:#}");
            let configured =
                error.chain().any(|cause| cause.downcast_ref::<ConfigError>().is_some());
            ExitCode::from(if configured { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match &cli.command {
        Some(Command::Migrate(Migrate::New { name })) => return migrate::new(name),
        Some(Command::New(new)) => return new.run(),
        Some(Command::Build(build)) => return build.run(),
        Some(Command::Types(types)) => return types.run(),
        _ => {}
    }
    let config = Config::load(cli.config.as_deref())?;
    let command = cli.command.unwrap_or(Command::Run);
    // A test keeps what is logged for its report.
    if !matches!(command, Command::Test(_)) {
        logging::start(&config.log)?;
    }
    let runtime = Runtime::new()?;
    let done = match command {
        Command::Run => runtime.block_on(host::run(config)),
        Command::Migrate(Migrate::Up) => runtime.block_on(migrate::up(&config)),
        Command::Migrate(Migrate::Down(Down { to })) => {
            runtime.block_on(migrate::down(&config, to))
        }
        Command::Migrate(Migrate::Status) => runtime.block_on(migrate::status(&config)),
        Command::Migrate(Migrate::New { name }) => migrate::new(&name),
        Command::New(new) => new.run(),
        Command::Build(build) => build.run(),
        Command::Types(types) => types.run(),
        Command::Dev(dev) => runtime.block_on(dev.run(config)),
        Command::Plugins(Plugins::Check { file }) => {
            runtime.block_on(plugins::check(&config, &file))
        }
        Command::Plugins(Plugins::Lint(Lint { file, strict, json })) => {
            runtime.block_on(plugins::lint(&config, &file, strict, json))
        }
        Command::Plugins(Plugins::Swaps(swaps)) => runtime.block_on(swaps.run(&config)),
        Command::Plugins(Plugins::Replay(replay)) => runtime.block_on(replay.run(&config)),
        Command::Plugins(Plugins::Pull(pull)) => runtime.block_on(pull.run(&config)),
        Command::Test(test) => runtime.block_on(test.run(&config)),
        Command::Saga(saga) => runtime.block_on(saga.run(&config)),
        Command::Outbox(outbox) => runtime.block_on(outbox.run(&config)),
        Command::DeadLetters(letters) => runtime.block_on(letters.run(&config)),
        Command::Schedules(Schedules::List) => runtime.block_on(schedules::list(&config)),
        Command::Config(ConfigCommand::Check) => check_config::check(&config),
    };
    // What is still under way after a stop is not waited for.
    runtime.shutdown_background();
    done
}
