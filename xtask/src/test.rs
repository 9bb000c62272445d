//! `cargo xtask test`: every test, on real services that are started once.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use wasaga_services::{Kafka, KafkaOptions, Postgres, PostgresOptions, guests::Guest};

use crate::interrupt::Interrupt;
use crate::workspace::{binary, cargo, exit_code, must, status, target_dir};
use crate::{guests, setup};

#[derive(clap::Args)]
pub struct Arguments {
    /// Run only the tests whose name holds this
    filter: Option<String>,
    /// Start the services, print the environment for `cargo test`, and wait for Ctrl-C
    #[arg(long, conflicts_with_all = ["filter", "harness"])]
    keep: bool,
    /// Arguments of the test binaries
    #[arg(last = true)]
    harness: Vec<String>,
}

/// What the tests share, and the environment in which they find it.
pub(crate) struct Stage {
    // Held for their Drop, which stops them.
    _postgres: Postgres,
    _kafka: Kafka,
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

pub fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<ExitCode> {
    let stage = Stage::set(interrupt)?;
    if arguments.keep {
        for (name, value) in &stage.environment {
            println!("export {name}={}", value.display());
        }
        eprintln!("Postgres and Kafka are up; Ctrl-C stops them");
        interrupt.wait();
        return Ok(ExitCode::SUCCESS);
    }
    let mut test = cargo(["test", "--release", "--workspace", "--no-fail-fast"]);
    test.args(&arguments.filter).arg("--").args(&arguments.harness);
    // Of the guests what is tested without a sandbox: the Rust SDK, and handlers written with it.
    let native = "test --manifest-path plugins/Cargo.toml --package wasaga-guest --package wasaga-guest-macros \
                  --package greeting-rust --no-fail-fast";
    let mut native = cargo(native.split_whitespace());
    native.args(&arguments.filter).arg("--").args(&arguments.harness);
    let natively =
        status(native.env("CARGO_TARGET_DIR", target_dir()?.join("guests-native")), interrupt)?;
    let ended = status(test.envs(stage.environment.iter().cloned()), interrupt)?;
    // Cargo has said what failed, and its summary stays the last thing on the screen.
    Ok(exit_code(if natively.success() { ended } else { natively }))
}

impl Stage {
    pub(crate) fn set(interrupt: &Interrupt) -> Result<Self> {
        setup::ensure(setup::BUILD.into_iter().chain(setup::KAFKA).chain(setup::POOLER))?;
        let (plugins, guests) = guests::build_all()?;
        // Bins and tests in one build: with the dev-dependencies' features or without them,
        // wasmtime would be compiled twice.
        must(&mut cargo("build --release --workspace --bins --tests".split(' ')), interrupt)?;
        let postgres = Postgres::start(PostgresOptions::default())?;
        precompile(&guests, &postgres, interrupt)?;
        let kafka = Kafka::start(KafkaOptions { secured: true, ..KafkaOptions::default() })?;
        let (secured, certificate) = kafka.secured().context("Kafka has its second port")?;
        let environment = vec![
            ("WASAGA_TEST_POSTGRES", postgres.url().into()),
            ("WASAGA_TEST_KAFKA", kafka.bootstrap().into()),
            ("WASAGA_TEST_KAFKA_SECURED", secured.into()),
            ("WASAGA_TEST_KAFKA_CERTIFICATE", certificate.into()),
            ("WASAGA_TEST_PLUGINS", plugins.into()),
            ("WASAGA_TEST_HOST", binary("wasaga")?.into()),
        ];
        Ok(Self { _postgres: postgres, _kafka: kafka, environment })
    }
}

/// Guests above this size take a host seconds to compile.
const LARGE: u64 = 500_000;

/// Fills the tests' cache of compiled modules: their hosts start side by side, and each would compile the same anew.
fn precompile(guests: &[Guest], postgres: &Postgres, interrupt: &Interrupt) -> Result<()> {
    for guest in guests.iter().filter(|guest| guest.bytes > LARGE) {
        let mut check = Command::new(binary("wasaga")?);
        check.args(["plugins", "check"]).arg(&guest.path).current_dir(target_dir()?);
        check.env("DATABASE_URL", postgres.url()).env("WASAGA_KAFKA__ENABLED", "false");
        check.env("WASAGA_PLUGINS__GRANT_ALL", "true");
        check.env("WASAGA_PLUGINS__CACHE_DIR", target_dir()?.join("guests-compiled"));
        // One that does not load fails the tests that need it.
        status(check.stdout(Stdio::null()).stderr(Stdio::null()), interrupt)?;
    }
    Ok(())
}
