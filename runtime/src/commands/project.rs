//! `wasaga new`, `wasaga types` and `wasaga build`: a plugin's project, from a template to a component.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use wasaga_domain::ids::PluginName;
use wasaga_guest_build::{Missing, Project, Template, publish, renew_sdk, write_project};

/// Where a project's component and what its build leaves are, in its directory.
const BUILD: &str = "build";

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The plugin's name, as my-saga
    name: PluginName,
    /// What it is written in
    #[arg(long, value_enum)]
    language: Template,
    /// Where it is written [default: a directory of its name]
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The project: a directory with a plugin.toml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The component [default: build/NAME.wasm of the project]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// First replace the project's SDK and contract by those of this wasaga
    #[arg(long)]
    renew_sdk: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Types {
    /// The project: a directory with a plugin.toml
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl New {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let name = self.name.as_str();
        let dir = self.dir.clone().unwrap_or_else(|| name.into());
        write_project(&dir, name, self.language)?;
        println!("{0} is written; next: cd {0} && wasaga build", dir.display());
        Ok(())
    }
}

impl Build {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let project = project(&self.dir)?;
        if self.renew_sdk {
            renew_sdk(&project)?;
        }
        let out = self.out.clone().unwrap_or_else(|| component(&project));
        let bytes = build(&project, &out)?;
        println!("{} ({:.1} kB)", out.display(), bytes as f64 / 1000.0);
        Ok(())
    }
}

impl Types {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let project = project(&self.dir)?;
        let files = project.write_types()?;
        if files.is_empty() {
            bail!("{} has no schemas/NAME.json to make types of", self.dir.display());
        }
        for file in files {
            println!("{}", project.directory.join(file).display());
        }
        Ok(())
    }
}

/// The project of a directory.
pub(crate) fn project(directory: &Path) -> anyhow::Result<Project> {
    Project::read(directory)?.ok_or_else(|| {
        anyhow!(
            "{} has no plugin.toml: name a project's directory, or make one by `wasaga new`",
            directory.display()
        )
    })
}

/// Where a project's component is, unless somebody wants it elsewhere.
pub(crate) fn component(project: &Project) -> PathBuf {
    project.directory.join(BUILD).join(format!("{}.wasm", project.name))
}

/// Builds a project into `out`, at once; its size in bytes.
pub(crate) fn build(project: &Project, out: &Path) -> anyhow::Result<u64> {
    let work_dir = project.directory.join(BUILD).join("work");
    let built = work_dir.join("component.wasm");
    project.build(&work_dir, &built, Missing::Tell)?;
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    publish(&built, out)
}
