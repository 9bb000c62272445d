//! Guests in Go: the project's package main, by the Go toolchain on PATH.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::programs::{find_binary, output_of, run};
use crate::{NoToolchain, Project, component};

/// The first that exports functions of a library to WebAssembly.
const OLDEST: (u32, u32) = (1, 24);

pub(crate) fn build(project: &Project, work_dir: &Path, out: &Path) -> Result<()> {
    require_go()?;
    let core = work_dir.join("core.wasm");
    let mut go = Command::new("go");
    go.current_dir(&project.directory);
    go.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOWORK", "off")]).env_remove("GOFLAGS");
    go.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-w", "-o"]).arg(&core).arg(".");
    run(&mut go)?;
    component::write(&core, &project.wit, &project.world, out)
}

fn require_go() -> Result<()> {
    let (major, minor) = OLDEST;
    let install =
        format!("Go {major}.{minor} or later is needed: install it from https://go.dev/dl");
    if find_binary("go").is_none() {
        bail!(NoToolchain(install));
    }
    let said = output_of(Command::new("go").args(["env", "GOVERSION"]))?;
    match version(&said) {
        Some(found) if found >= OLDEST => Ok(()),
        _ => bail!(NoToolchain(format!("{install}; found: {}", said.trim()))),
    }
}

/// `go1.26.1` is (1, 26).
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.trim().strip_prefix("go")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("go1.26.1\n"), Some((1, 26)));
        assert_eq!(version("go1.24rc2"), Some((1, 24)));
        assert_eq!(version("devel"), None);
    }
}
