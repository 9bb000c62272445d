//! Building the wasm guests: the members of a cargo workspace that are a `cdylib`.
//!
//! `toolchain` says with what, this file what and where to. A guest becomes
//! `OUT_DIR/PACKAGE.wasm`, a WebAssembly component.

mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

pub use toolchain::GuestToolchain;

use crate::programs::{output_of, run};

/// What every component begins with; a core module has a one in the fifth byte.
const COMPONENT_HEADER: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// One built guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its package's name.
    pub name: String,
    /// The component.
    pub path: PathBuf,
    pub bytes: u64,
}

/// A cargo workspace of guests, and where cargo may keep what it builds of them.
#[derive(Clone, Debug)]
pub struct GuestWorkspace {
    /// The directory of its Cargo.toml.
    pub root: PathBuf,
    pub target_dir: PathBuf,
}

impl GuestWorkspace {
    /// Builds `members` (package names; empty: all guests of the workspace) into `out_dir`. A
    /// file there is replaced at once or, when nothing changed, left alone.
    pub fn build(
        &self,
        toolchain: &GuestToolchain,
        members: &[&str],
        out_dir: &Path,
    ) -> Result<Vec<Guest>> {
        let guests = self.select(toolchain, members)?;
        let mut cargo = toolchain.cargo(&self.root);
        cargo.env("CARGO_TARGET_DIR", &self.target_dir);
        cargo.args(["build", "--release"]).args(toolchain.build_arguments());
        for (package, _) in &guests {
            cargo.args(["--package", package]);
        }
        run(&mut cargo).with_context(|| format!("with {toolchain}"))?;

        fs::create_dir_all(out_dir)
            .with_context(|| format!("cannot make {}", out_dir.display()))?;
        let built = self.target_dir.join(toolchain.target()).join("release");
        guests
            .into_iter()
            .map(|(name, library)| publish(&built.join(format!("{library}.wasm")), name, out_dir))
            .collect()
    }

    /// Package and library name of the guests that are asked for.
    fn select(&self, toolchain: &GuestToolchain, asked: &[&str]) -> Result<Vec<(String, String)>> {
        let mut cargo = toolchain.cargo(&self.root);
        let metadata = output_of(cargo.args(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata: Metadata =
            serde_json::from_str(&metadata).context("cannot read cargo's metadata")?;
        let all: Vec<_> = metadata.packages.into_iter().filter_map(Package::into_guest).collect();
        if all.is_empty() {
            bail!("no package of {} is a guest: none has a cdylib", self.root.display());
        }
        if asked.is_empty() {
            return Ok(all);
        }
        asked
            .iter()
            .map(|name| {
                all.iter().find(|(package, _)| package == name).cloned().with_context(|| {
                    let known = all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
                    let root = self.root.display();
                    format!("no guest `{name}` in {root}; there are: {}", known.join(", "))
                })
            })
            .collect()
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Package {
    fn into_guest(self) -> Option<(String, String)> {
        let is_cdylib = |target: &Target| target.crate_types.iter().any(|kind| kind == "cdylib");
        let library = self.targets.into_iter().find(is_cdylib)?.name.replace('-', "_");
        Some((self.name, library))
    }
}

/// Copies a component under its final name in one rename: a host that watches the directory
/// never sees half of it.
fn publish(built: &Path, name: String, out_dir: &Path) -> Result<Guest> {
    let component = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if !component.starts_with(&COMPONENT_HEADER) {
        bail!("{} is no WebAssembly component: wasm-component-ld did not link it", built.display());
    }
    let path = out_dir.join(format!("{name}.wasm"));
    if fs::read(&path).ok().as_ref() != Some(&component) {
        let partial = out_dir.join(format!(".{name}.wasm.{}", std::process::id()));
        fs::write(&partial, &component)
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Guest { name, path, bytes: component.len() as u64 })
}
