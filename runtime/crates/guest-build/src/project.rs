//! A directory with a `plugin.toml`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{Language, Missing, c, go, javascript, python, rust};

/// What says that a directory is a project.
const FILE: &str = "plugin.toml";
/// What every component begins with; a core module has a one in the fifth byte.
const COMPONENT_HEADER: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// A directory that becomes a component.
#[derive(Clone, Debug)]
pub struct Project {
    /// As `plugin.toml` has it, or else the directory's.
    pub name: String,
    pub directory: PathBuf,
    pub language: Language,
    /// Of wit/wasaga.wit: what the component exports.
    pub world: String,
    /// The SDK of its language.
    pub sdk: PathBuf,
    /// The directory with the contract.
    pub wit: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    language: Language,
    world: String,
}

impl Project {
    /// The project of a directory, with an SDK of its own; none where it has no `plugin.toml`.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let wrong =
            || format!("{}: write language and world, as `wasaga new` does", path.display());
        let text = fs::read_to_string(&path).with_context(wrong)?;
        let File { name, language, world } = toml::from_str(&text).with_context(wrong)?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("cannot read {}", directory.display()))?;
        let of_directory = || directory.file_name().unwrap_or_default().to_string_lossy().into();
        Ok(Some(Self {
            name: name.unwrap_or_else(of_directory),
            language,
            world,
            sdk: directory.join("sdk").join(language.to_string()),
            wit: directory.join("wit"),
            directory,
        }))
    }

    /// Builds the component into this file, of types that fit its schemas; `work_dir` keeps what makes the next time faster.
    pub fn build(&self, work_dir: &Path, component: &Path, missing: Missing) -> Result<()> {
        if !self.sdk.is_dir() {
            bail!("{} is missing: `wasaga build --renew-sdk` writes it", self.sdk.display());
        }
        self.write_types()?;
        fs::create_dir_all(work_dir)
            .with_context(|| format!("cannot make {}", work_dir.display()))?;
        match self.language {
            Language::Rust => rust::build(self, component, missing),
            Language::C => c::build(self, work_dir, component, missing),
            Language::Go => go::build(self, work_dir, component),
            Language::JavaScript => javascript::build(self, work_dir, component, missing),
            Language::Python => python::build(self, component, missing),
        }
    }
}

/// Copies a component to `path`, as [`place`] does. Its size.
pub fn publish(built: &Path, path: &Path) -> Result<u64> {
    let component = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    place(&component, path).with_context(|| built.display().to_string())?;
    Ok(component.len() as u64)
}

/// Writes a component to `path` in one rename, unless it is there already: a host that watches the directory never sees half
/// of it.
pub fn place(component: &[u8], path: &Path) -> Result<()> {
    if !component.starts_with(&COMPONENT_HEADER) {
        bail!("this is no WebAssembly component");
    }
    if fs::read(path).is_ok_and(|found| found == component) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::write(&partial, component)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
