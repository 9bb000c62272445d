//! `cargo xtask lint`: formatting and lints of the host and of the guests.

use std::process::ExitCode;

use anyhow::Result;

use crate::interrupt::Interrupt;
use crate::setup;
use crate::workspace::{cargo, must};

pub fn run(interrupt: &Interrupt) -> Result<ExitCode> {
    setup::ensure(setup::BUILD)?;
    must(&mut cargo(["fmt", "--all", "--check"]), interrupt)?;
    // The guests' workspace has the Rust SDK among its members.
    let guests = ["fmt", "--all", "--check", "--manifest-path", "plugins/Cargo.toml"];
    must(&mut cargo(guests), interrupt)?;
    let clippy = "clippy --release --workspace --all-targets -- -D warnings";
    must(&mut cargo(clippy.split(' ')), interrupt)?;
    Ok(ExitCode::SUCCESS)
}
