//! Guests in Rust: the members of a cargo workspace that are a `cdylib`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Guest, publish, toolchain::GuestToolchain};
use crate::programs::{output_of, run};

/// A cargo workspace of guests, and where cargo may keep what it builds of them.
pub(super) struct RustWorkspace {
    /// The directory of its Cargo.toml.
    pub root: PathBuf,
    pub target_dir: PathBuf,
}

/// Package and library name of a guest.
pub(super) type Package = (String, String);

impl RustWorkspace {
    /// Builds these packages into `out_dir`, all or none.
    pub(super) fn build(
        &self,
        toolchain: &GuestToolchain,
        packages: Vec<Package>,
        out_dir: &Path,
    ) -> Result<Vec<Guest>> {
        eprintln!("building guests for {toolchain}");
        let mut cargo = toolchain.cargo(&self.root);
        cargo.env("CARGO_TARGET_DIR", &self.target_dir);
        cargo.args(["build", "--release"]).args(toolchain.build_arguments());
        for (package, _) in &packages {
            cargo.args(["--package", package]);
        }
        run(&mut cargo).with_context(|| format!("with {toolchain}"))?;
        let built = self.target_dir.join(toolchain.target()).join("release");
        packages
            .into_iter()
            .map(|(name, library)| publish(&built.join(format!("{library}.wasm")), &name, out_dir))
            .collect()
    }

    /// All guests of the workspace.
    pub(super) fn packages(&self, toolchain: &GuestToolchain) -> Result<Vec<Package>> {
        let mut cargo = toolchain.cargo(&self.root);
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
