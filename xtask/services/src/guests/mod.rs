//! Building the wasm guests: those in Rust, which are a workspace, and the projects in other languages.
//!
//! A guest becomes `OUT_DIR/NAME.wasm`, a WebAssembly component. A project that cannot be built, as its language's
//! toolchain is missing, leaves `NAME.missing` there, which says why, and hinders no other; a release may have it.

mod release;
mod stamp;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wasaga_guest_build::{
    GuestToolchain, Missing, NoToolchain, Package, Project, RustWorkspace, publish,
};

pub use release::{Release, write_sums};

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
#[derive(Debug, Default)]
pub struct Built {
    pub guests: Vec<Guest>,
    pub unbuilt: Vec<Unbuilt>,
}

/// A guest that is not built.
#[derive(Clone, Debug)]
pub struct Unbuilt {
    pub name: String,
    /// Why, in one line.
    pub reason: String,
    /// Whether that is its language's toolchain, which is not here.
    pub no_toolchain: bool,
}

impl Unbuilt {
    fn new(name: String, error: &anyhow::Error) -> Self {
        let no_toolchain = error.is::<NoToolchain>();
        Self { name, reason: format!("{error:#}").replace('\n', " "), no_toolchain }
    }
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
        let projects = self.projects()?;
        let is_wanted = |name: &str| names.is_empty() || names.contains(&name);
        let is_project = |name: &&str| projects.iter().any(|project| project.name == *name);
        let mut built = if names.is_empty() || !names.iter().all(is_project) {
            self.build_rust(names, &projects, out_dir)?
        } else {
            Built::default()
        };
        for project in projects.iter().filter(|project| is_wanted(&project.name)) {
            match self.build_project(project, out_dir) {
                Ok(guest) => built.guests.push(guest),
                Err(error) => built.unbuilt.push(Unbuilt::new(project.name.clone(), &error)),
            }
        }
        for guest in &built.unbuilt {
            unpublish(guest, out_dir)?;
        }
        Ok(built)
    }

    /// All projects of the source tree, by their names.
    fn projects(&self) -> Result<Vec<Project>> {
        let mut projects = Vec::new();
        for parent in ["plugins", "plugins/testing"] {
            let parent = self.root.join(parent);
            let entries = fs::read_dir(&parent)
                .with_context(|| format!("cannot read {}", parent.display()))?;
            for entry in entries.flatten() {
                if let Some(project) = Project::read(&entry.path())? {
                    let sdk = self.root.join("guest-sdk").join(project.language.to_string());
                    projects.push(Project { sdk, wit: self.root.join("wit"), ..project });
                }
            }
        }
        projects.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(projects)
    }

    /// Builds those of these names that are packages of the workspace.
    fn build_rust(&self, names: &[&str], projects: &[Project], out_dir: &Path) -> Result<Built> {
        let root = self.root.join("plugins");
        let workspace = RustWorkspace { root, target_dir: self.target_dir.clone() };
        let packages = workspace.packages()?;
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
        let wanted = packages.into_iter().filter(is_wanted);
        let toolchain = match GuestToolchain::detect(Missing::Install) {
            Ok(toolchain) => toolchain,
            Err(error) if error.is::<NoToolchain>() => {
                let unbuilt = wanted.map(|(name, _)| Unbuilt::new(name, &error)).collect();
                return Ok(Built { unbuilt, ..Built::default() });
            }
            Err(error) => return Err(error),
        };
        let components = workspace.build(&toolchain, wanted.collect())?.into_iter();
        let guests = components.map(|(name, component)| guest(&component, name, out_dir));
        Ok(Built { guests: guests.collect::<Result<_>>()?, ..Built::default() })
    }

    /// Builds a project, unless what it was last built from is what there is now.
    fn build_project(&self, project: &Project, out_dir: &Path) -> Result<Guest> {
        let work_dir = self.target_dir.join("projects").join(&project.name);
        let component = work_dir.join("component.wasm");
        let stamp = stamp::of(&self.root, project)?;
        if stamp::read(&work_dir).as_ref() != Some(&stamp) || !component.is_file() {
            eprintln!("building {} ({})", project.name, project.language);
            project.build(&work_dir, &component, Missing::Install)?;
            stamp::write(&work_dir, &stamp)?;
        }
        guest(&component, project.name.clone(), out_dir)
    }
}

/// Copies a component under its final name.
fn guest(built: &Path, name: String, out_dir: &Path) -> Result<Guest> {
    let path = out_dir.join(format!("{name}.wasm"));
    let bytes = publish(built, &path)?;
    let _ = fs::remove_file(missing(&name, out_dir));
    Ok(Guest { name, path, bytes })
}

/// Removes an older component, which would be taken for this one, and says why there is none.
fn unpublish(guest: &Unbuilt, out_dir: &Path) -> Result<()> {
    let _ = fs::remove_file(out_dir.join(format!("{}.wasm", guest.name)));
    let path = missing(&guest.name, out_dir);
    fs::write(&path, &guest.reason).with_context(|| format!("cannot write {}", path.display()))
}

fn missing(name: &str, out_dir: &Path) -> PathBuf {
    out_dir.join(format!("{name}.missing"))
}
