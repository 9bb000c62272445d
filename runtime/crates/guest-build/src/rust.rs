//! Guests in Rust: the packages of a cargo workspace that are a `cdylib`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::programs::{output_of, run};
use crate::{GuestToolchain, Missing, Project, publish, toolchain::cargo};

/// A cargo workspace of guests, and where cargo may keep what it builds of them.
#[derive(Clone, Debug)]
pub struct RustWorkspace {
    /// The directory of its Cargo.toml.
    pub root: PathBuf,
    pub target_dir: PathBuf,
}

/// Package and library name of a guest.
pub type Package = (String, String);

impl RustWorkspace {
    /// Builds these packages, all or none: name and component of each.
    pub fn build(
        &self,
        toolchain: &GuestToolchain,
        packages: Vec<Package>,
    ) -> Result<Vec<(String, PathBuf)>> {
        eprintln!("building guests for {toolchain}");
        let mut cargo = toolchain.cargo(&self.root);
        cargo.env("CARGO_TARGET_DIR", &self.target_dir);
        cargo.args(["build", "--release"]).args(toolchain.build_arguments());
        for (package, _) in &packages {
            cargo.args(["--package", package]);
        }
        run(&mut cargo).with_context(|| format!("with {toolchain}"))?;
        let built = self.target_dir.join(toolchain.target()).join("release");
        let component = |(name, library)| (name, built.join(format!("{library}.wasm")));
        Ok(packages.into_iter().map(component).collect())
    }

    /// All guests of the workspace.
    pub fn packages(&self) -> Result<Vec<Package>> {
        let mut cargo = Command::new(cargo()?);
        cargo.current_dir(&self.root);
        let metadata = output_of(cargo.args(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).context("cannot read cargo's metadata")?;
        let all: Vec<_> = metadata.packages.into_iter().filter_map(Member::into_guest).collect();
        if all.is_empty() {
            bail!("no package of {} is a guest: none has a cdylib", self.root.display());
        }
        Ok(all)
    }
}

pub(crate) fn build(project: &Project, component: &Path, missing: Missing) -> Result<()> {
    let toolchain = GuestToolchain::detect(missing)?;
    let root = project.directory.clone();
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target_dir = chosen.unwrap_or_else(|| root.join("target"));
    let workspace = RustWorkspace { root, target_dir };
    let packages = workspace.packages()?;
    let components = workspace.build(&toolchain, packages)?;
    let [(_, built)] = &components[..] else {
        bail!("{} has several packages with a cdylib: leave one", project.directory.display());
    };
    publish(built, component).map(drop)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Member {
    fn into_guest(self) -> Option<Package> {
        let is_cdylib = |target: &Target| target.crate_types.iter().any(|kind| kind == "cdylib");
        let library = self.targets.into_iter().find(is_cdylib)?.name.replace('-', "_");
        Some((self.name, library))
    }
}
