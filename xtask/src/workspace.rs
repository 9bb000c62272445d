//! Where things are, and cargo runs on the host's workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::interrupt::Interrupt;

/// The directory of the root Cargo.toml.
pub fn root() -> PathBuf {
    // Cargo says it at run time too: a target directory can outlive the clone it was built from.
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir.parent().map_or_else(|| manifest_dir.clone(), Path::to_owned)
}

/// Cargo's target directory, whichever setting chose it: this binary was built into it.
pub fn target_dir() -> Result<PathBuf> {
    let binary = std::env::current_exe().context("cannot tell where xtask runs from")?;
    let directory = binary.ancestors().nth(2).map(Path::to_owned);
    directory.with_context(|| format!("{} is in no target directory", binary.display()))
}

/// A binary of the workspace, in the one profile that is used.
pub fn binary(name: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join("release").join(name))
}

/// The cargo that runs xtask, at the workspace's root.
pub fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(arguments);
    cargo
}

/// Runs a command to its end, without a terminal to read from.
pub fn status(command: &mut Command, interrupt: &Interrupt) -> Result<ExitStatus> {
    interrupt.check()?;
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    interrupt.check()?;
    Ok(status)
}

/// Runs a command that must succeed, and shows it first.
pub fn must(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    let shown = format!("cargo {}", arguments.collect::<Vec<_>>().join(" "));
    eprintln!("$ {shown}");
    let status = status(command, interrupt)?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// A child's exit code as this process's own.
pub fn exit_code(ended: ExitStatus) -> ExitCode {
    // None: a signal ended it.
    ended.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8))
}
