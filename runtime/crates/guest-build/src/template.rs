//! New projects. The templates, the SDKs and the contract are part of the program.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use include_dir::{Dir, DirEntry, include_dir};

use crate::{Language, Project, Template};

static SDKS: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../../guest-sdk");
static WIT: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../../wit");

/// Directories of an SDK that are no part of it: templates, and what others can make again.
const NOT_SDK: [&str; 6] =
    ["template", "template-typescript", "tests", "node_modules", "target", "__pycache__"];

/// What makes the SDK for Rust a member of the workspace in which it is tested.
const OF_WORKSPACE: [&str; 3] = [
    "workspace = \"../../plugins\"\n",
    "workspace = \"../../../plugins\"\n",
    "\n[lints]\nworkspace = true\n",
];

/// Writes a project into a directory that is empty or still to be made.
pub fn write_project(directory: &Path, name: &str, template: Template) -> Result<()> {
    let taken = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        bail!("{} is not empty: name another directory by --dir", directory.display());
    }
    let language = template.language();
    let of_language = match template {
        Template::TypeScript => "javascript/template-typescript".to_owned(),
        _ => format!("{language}/template"),
    };
    let fill =
        |text: &str| text.replace("{{name}}", name).replace("{{language}}", &language.to_string());
    for part in ["template", &of_language] {
        write(embedded(&SDKS, part)?, directory, &|_| true, &fill)?;
    }
    write_sdk(directory, language)?;
    let project = Project::read(directory)?.context("a template has a plugin.toml")?;
    project.write_types().map(drop)
}

/// Replaces the SDK and the contract of a project by those of this program.
pub fn renew_sdk(project: &Project) -> Result<()> {
    for old in [&project.sdk, &project.wit] {
        if old.is_dir() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    write_sdk(&project.directory, project.language)
}

fn write_sdk(directory: &Path, language: Language) -> Result<()> {
    let language = language.to_string();
    let is_sdk = |name: &str| !NOT_SDK.contains(&name);
    let stand_alone =
        |text: &str| OF_WORKSPACE.iter().fold(text.to_owned(), |text, part| text.replace(part, ""));
    let sdk = directory.join("sdk").join(&language);
    write(embedded(&SDKS, &language)?, &sdk, &is_sdk, &stand_alone)?;
    write(&WIT, &directory.join("wit"), &|_| true, &str::to_owned)
}

fn embedded<'a>(parent: &'a Dir, path: &str) -> Result<&'a Dir<'a>> {
    parent.get_dir(path).with_context(|| format!("this program has no guest-sdk/{path}"))
}

/// Writes what is in `source` into `directory`: entries of these names, their texts as `fill` has them.
fn write(
    source: &Dir,
    directory: &Path,
    is_wanted: &dyn Fn(&str) -> bool,
    fill: &dyn Fn(&str) -> String,
) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for entry in source.entries() {
        let name = entry.path().file_name().unwrap_or_default();
        let path: PathBuf = directory.join(name);
        match entry {
            DirEntry::Dir(inner) if is_wanted(&name.to_string_lossy()) => {
                write(inner, &path, is_wanted, fill)?;
            }
            DirEntry::Dir(_) => {}
            DirEntry::File(source) => {
                let text = source.contents_utf8().map(|text| fill(text).into_bytes());
                fs::write(&path, text.as_deref().unwrap_or_else(|| source.contents()))
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rust_sdk_stands_alone_in_a_project() {
        for file in ["rust/Cargo.toml", "rust/macros/Cargo.toml"] {
            let manifest = SDKS.get_file(file).and_then(|file| file.contents_utf8());
            let manifest = manifest.expect("it is a package");
            let alone =
                OF_WORKSPACE.iter().fold(manifest.to_owned(), |text, part| text.replace(part, ""));
            assert_ne!(alone, manifest, "{file}");
            assert!(!alone.contains("workspace"), "{alone}");
        }
    }
}
