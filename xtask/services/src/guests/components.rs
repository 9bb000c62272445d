//! The component tooling of xtask/components: built when a guest needs it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Guests;
use super::project::Project;
use crate::programs::{output_of, run};

/// Writes `guest.c` and `guest.h`, and returns the names of the interfaces that the project exports.
pub(super) fn bindings(project: &Project, guests: &Guests, out_dir: &Path) -> Result<Vec<String>> {
    let mut tool = tool(guests)?;
    tool.arg("bindings").arg(guests.wit()).arg(&project.world).arg(out_dir);
    Ok(output_of(&mut tool)?.lines().map(str::to_owned).collect())
}

/// Makes a component of a core module.
pub(super) fn component(
    project: &Project,
    guests: &Guests,
    module: &Path,
    component: &Path,
) -> Result<()> {
    let mut tool = tool(guests)?;
    tool.arg("component").arg(module).arg(guests.wit()).arg(&project.world).arg(component);
    output_of(&mut tool).map(drop)
}

fn tool(guests: &Guests) -> Result<Command> {
    let manifest = guests.root.join("xtask/components/Cargo.toml");
    let target_dir = guests.target_dir.join("components");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--locked", "--manifest-path"]).arg(&manifest);
    cargo.arg("--target-dir").arg(&target_dir);
    run(&mut cargo).context("the component tooling cannot be built")?;
    Ok(Command::new(target_dir.join("release/wasaga-components")))
}
