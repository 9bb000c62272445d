//! Building the wasm guests: those in Rust, which are a workspace, and the projects in other languages.
//!
//! A guest becomes `OUT_DIR/NAME.wasm`, a WebAssembly component. A project that cannot be built, as its language's
//! toolchain is missing, leaves `NAME.missing` there, which says why, and hinders no other.
//!
//! To add a language: a module with `build`, a variant of `project::Language`.

mod c;
mod components;
mod go;
mod javascript;
mod project;
mod python;
mod rust;
mod stamp;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use project::Project;
use rust::{Package, RustWorkspace};
use toolchain::GuestToolchain;

/// What every component begins with; a core module has a one in the fifth byte.
const COMPONENT_HEADER: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// One built guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its package's or its project's name.
    pub name: String,
    /// The component.
    pub path: PathBuf,
    pub bytes: u64,
}

/// What became of the guests.
#[derive(Debug)]
pub struct Built {
    pub guests: Vec<Guest>,
    /// The guests that are not built: name and reason, which is one line.
    pub missing: Vec<(String, String)>,
}

/// The guests of a source tree, and where what is built of them may be kept.
#[derive(Clone, Debug)]
pub struct Guests {
    /// The directory with `plugins`, `guest-sdk` and `wit`.
    pub root: PathBuf,
    pub target_dir: PathBuf,
}

impl Guests {
    /// Builds the guests of these names (none: all) into `out_dir`. A file there is replaced at once or, when nothing
    /// changed, left alone.
    pub fn build(&self, names: &[&str], out_dir: &Path) -> Result<Built> {
        fs::create_dir_all(out_dir)
            .with_context(|| format!("cannot make {}", out_dir.display()))?;
        let projects = project::all(&self.root)?;
        let is_wanted = |name: &str| names.is_empty() || names.contains(&name);
        let is_project = |name: &&str| projects.iter().any(|project| project.name == *name);
        let guests = if names.is_empty() || !names.iter().all(is_project) {
            self.build_rust(names, &projects, out_dir)?
        } else {
            Vec::new()
        };
        let mut built = Built { guests, missing: Vec::new() };
        for project in projects.iter().filter(|project| is_wanted(&project.name)) {
            match self.build_project(project, out_dir) {
                Ok(guest) => built.guests.push(guest),
                Err(error) => {
                    let reason = format!("{error:#}").replace('\n', " ");
                    unpublish(&project.name, &reason, out_dir)?;
                    built.missing.push((project.name.clone(), reason));
                }
            }
        }
        Ok(built)
    }

    fn build_rust(
        &self,
        names: &[&str],
        projects: &[Project],
        out_dir: &Path,
    ) -> Result<Vec<Guest>> {
        let toolchain = GuestToolchain::detect()?;
        let root = self.root.join("plugins");
        let workspace = RustWorkspace { root, target_dir: self.target_dir.clone() };
        let packages = workspace.packages(&toolchain)?;
        let known = |name: &str| {
            packages.iter().any(|(package, _)| package == name)
                || projects.iter().any(|project| project.name == name)
        };
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            let packages = packages.iter().map(|(package, _)| package.as_str());
            let all: Vec<_> =
                packages.chain(projects.iter().map(|project| project.name.as_str())).collect();
            let root = self.root.display();
            bail!("no guest `{unknown}` in {root}; there are: {}", all.join(", "));
        }
        let is_wanted =
            |(package, _): &Package| names.is_empty() || names.contains(&package.as_str());
        let wanted = packages.into_iter().filter(is_wanted).collect();
        workspace.build(&toolchain, wanted, out_dir)
    }

    /// Builds a project, unless what it was last built from is what there is now.
    fn build_project(&self, project: &Project, out_dir: &Path) -> Result<Guest> {
        let work_dir = self.target_dir.join("projects").join(&project.name);
        let component = work_dir.join("component.wasm");
        let stamp = stamp::of(&self.root, project)?;
        if stamp::read(&work_dir).as_ref() != Some(&stamp) || !component.is_file() {
            eprintln!("building {} ({})", project.name, project.language);
            fs::create_dir_all(&work_dir)
                .with_context(|| format!("cannot make {}", work_dir.display()))?;
            project.build(self, &work_dir, &component)?;
            stamp::write(&work_dir, &stamp)?;
        }
        publish(&component, &project.name, out_dir)
    }

    fn wit(&self) -> PathBuf {
        self.root.join("wit")
    }

    /// The SDK of a language.
    fn sdk(&self, language: project::Language) -> PathBuf {
        self.root.join("guest-sdk").join(language.to_string())
    }
}

/// Copies a component under its final name in one rename: a host that watches the directory
/// never sees half of it.
fn publish(built: &Path, name: &str, out_dir: &Path) -> Result<Guest> {
    let component = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if !component.starts_with(&COMPONENT_HEADER) {
        bail!("{} is no WebAssembly component", built.display());
    }
    let path = out_dir.join(format!("{name}.wasm"));
    if fs::read(&path).ok().as_ref() != Some(&component) {
        let partial = out_dir.join(format!(".{name}.wasm.{}", std::process::id()));
        fs::write(&partial, &component)
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let _ = fs::remove_file(missing(name, out_dir));
    Ok(Guest { name: name.to_owned(), path, bytes: component.len() as u64 })
}

/// Removes an older component, which would be taken for this one, and says why there is none.
fn unpublish(name: &str, reason: &str, out_dir: &Path) -> Result<()> {
    let _ = fs::remove_file(out_dir.join(format!("{name}.wasm")));
    let path = missing(name, out_dir);
    fs::write(&path, reason).with_context(|| format!("cannot write {}", path.display()))
}

fn missing(name: &str, out_dir: &Path) -> PathBuf {
    out_dir.join(format!("{name}.missing"))
}
