//! Programs of the machine: finding them, running them, installing Debian's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

/// What is done about a toolchain that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is installed, where that can be done.
    Install,
    /// Its user is told.
    Tell,
}

/// A language's toolchain is not on this machine, and could not be installed: what to install, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoToolchain(pub(crate) String);

impl NoToolchain {
    /// What failed while it was fetched.
    pub(crate) fn fetched(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

impl Missing {
    /// Installs Debian packages, where that is wanted; says whether it did.
    pub(crate) fn install(self, packages: &[&str]) -> Result<bool> {
        match self {
            Self::Install => Ok(install_debian_packages(packages).map_err(NoToolchain::fetched)?),
            Self::Tell => Ok(false),
        }
    }
}

/// The executable file `name` on PATH, or where Debian has servers, which is not on everybody's PATH.
pub fn find_binary(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let servers = PathBuf::from("/usr/sbin");
    std::env::split_paths(&path).chain([servers]).map(|directory| directory.join(name)).find(
        |file| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0),
    )
}

/// Runs a command to its end; its output goes to stderr. Fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// What a command prints on stdout, as text. Fails with its stderr when it fails.
pub fn output_of(command: &mut Command) -> Result<String> {
    String::from_utf8(bytes_of(command)?)
        .with_context(|| format!("`{}` printed no UTF-8", shown(command)))
}

/// What a command prints on stdout. Fails with its stderr when it fails.
pub fn bytes_of(command: &mut Command) -> Result<Vec<u8>> {
    let shown = shown(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, said.trim());
    }
    Ok(output.stdout)
}

/// Installs Debian packages when this process may (root, with apt-get); says whether it could.
/// A failing installation is an error.
pub fn install_debian_packages(packages: &[&str]) -> Result<bool> {
    let Some(apt_get) = find_binary("apt-get").filter(|_| geteuid().is_root()) else {
        return Ok(false);
    };
    let apt = || {
        let mut command = Command::new(&apt_get);
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        command
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))?;
    Ok(true)
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
