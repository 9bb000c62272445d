//! Guests in languages other than Rust: a directory with a `plugin.toml`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Guests, c, go, javascript, python};

/// What says that a directory is a project.
const FILE: &str = "plugin.toml";

/// A directory that becomes a component.
#[derive(Debug)]
pub(super) struct Project {
    /// The directory's; a template's is `template-LANGUAGE`.
    pub name: String,
    pub directory: PathBuf,
    pub language: Language,
    /// Of wit/wasaga.wit: what the component exports.
    pub world: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    C,
    Go,
    JavaScript,
    Python,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::C => "c",
            Self::Go => "go",
            Self::JavaScript => "javascript",
            Self::Python => "python",
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    language: Language,
    world: String,
}

/// All projects of a source tree, by their names.
pub(super) fn all(root: &Path) -> Result<Vec<Project>> {
    let mut projects = Vec::new();
    for parent in ["plugins", "plugins/testing"] {
        for directory in directories(&root.join(parent))? {
            let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            projects.extend(read(directory, name)?);
        }
    }
    for sdk in directories(&root.join("guest-sdk"))? {
        let language = sdk.file_name().unwrap_or_default().to_string_lossy();
        projects.extend(read(sdk.join("template"), format!("template-{language}"))?);
    }
    projects.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(projects)
}

fn directories(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(parent).with_context(|| format!("cannot read {}", parent.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn read(directory: PathBuf, name: String) -> Result<Option<Project>> {
    let path = directory.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let wrong = || format!("{}: write language and world, as in another project", path.display());
    let text = fs::read_to_string(&path).with_context(wrong)?;
    let File { language, world } = toml::from_str(&text).with_context(wrong)?;
    Ok(Some(Project { name, directory, language, world }))
}

impl Project {
    pub(super) fn build(&self, guests: &Guests, work_dir: &Path, component: &Path) -> Result<()> {
        match self.language {
            Language::C => c::build(self, guests, work_dir, component),
            Language::Go => go::build(self, guests, work_dir, component),
            Language::JavaScript => javascript::build(self, guests, work_dir, component),
            Language::Python => python::build(self, guests, component),
        }
    }
}
