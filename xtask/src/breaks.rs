//! `cargo xtask breaks`: breaks a rule at a time while tests run, and fails where no test notices.

use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result};

use crate::interrupt::Interrupt;
use crate::test::Stage;
use crate::workspace::cargo;

/// A rule that tests must not let break.
struct Break {
    /// As `WASAGA_BREAK` has it.
    name: &'static str,
    /// What is broken.
    what: &'static str,
    /// The test binaries that run, and the names of their tests.
    tests: &'static [&'static str],
    filters: &'static [&'static str],
}

const BREAKS: [Break; 7] = [
    Break {
        name: "fencing",
        what: "a host that lost its lease commits all the same",
        tests: &["sagas"],
        filters: &["claims::", "commit::"],
    },
    Break {
        name: "undo-order",
        what: "all undos run at once",
        tests: &["decide"],
        filters: &["undo_order::", "parallel::"],
    },
    Break {
        name: "deduplication",
        what: "records are stored, and where consumption resumes is not",
        tests: &["consumer"],
        filters: &[],
    },
    Break {
        name: "early-reply",
        what: "a message that comes before its wait is not kept",
        tests: &["sagas"],
        filters: &["early::", "waits::"],
    },
    Break {
        name: "record-order",
        what: "a record is passed over that was stored late",
        tests: &["inbox"],
        filters: &["order::"],
    },
    Break {
        name: "resting-key",
        what: "a message is published although an earlier one of its key rests",
        tests: &["outbox"],
        filters: &["leasing::postgres"],
    },
    Break {
        name: "late-commit",
        what: "a message is passed over whose transaction was open when a later one's was committed",
        tests: &["floor"],
        filters: &[],
    },
];

pub fn run(interrupt: &Interrupt) -> Result<ExitCode> {
    let stage = Stage::set(interrupt)?;
    let mut unnoticed = Vec::new();
    for broken in &BREAKS {
        interrupt.check()?;
        let red = broken.red(&stage)?;
        if red.is_empty() {
            unnoticed.push(broken.name);
            println!("{}: {}: no test notices", broken.name, broken.what);
        } else {
            println!("{}: {}: noticed by {}", broken.name, broken.what, red.join(", "));
        }
    }
    println!("{} of {} breaks are noticed", BREAKS.len() - unnoticed.len(), BREAKS.len());
    Ok(if unnoticed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Break {
    /// The tests that fail with it.
    fn red(&self, stage: &Stage) -> Result<Vec<String>> {
        let mut test = cargo(["test", "--release", "--workspace", "--no-fail-fast"]);
        test.args(self.tests.iter().flat_map(|test| ["--test", test]));
        test.arg("--").args(self.filters);
        test.envs(stage.environment.iter().cloned()).env("WASAGA_BREAK", self.name);
        let ended = test.stdin(Stdio::null()).stderr(Stdio::null()).output();
        let ended = ended.context("cargo does not start")?;
        let said = String::from_utf8_lossy(&ended.stdout);
        let red =
            |line: &str| line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::to_owned);
        Ok(said.lines().filter_map(red).collect())
    }
}
