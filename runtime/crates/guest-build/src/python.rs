//! Guests in Python: the project's modules, the SDK and `CPython` in one component, by componentize-py in a venv of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::{filled_once, user_cache};
use crate::programs::{find_binary, run};
use crate::{Missing, NoToolchain, Project};

/// The SDK's module that has the exports, and imports the project's `plugin`.
const ENTRY: &str = "wasaga.entry";

/// Its program names the Python of the directory in which it was installed, which has another name since.
const COMPONENTIZE: &str = "import componentize_py; componentize_py.script()";

pub(crate) fn build(project: &Project, component: &Path, missing: Missing) -> Result<()> {
    let mut componentize = Command::new(python(&project.sdk, missing)?);
    componentize.args(["-c", COMPONENTIZE]);
    componentize.arg("-d").arg(&project.wit).args(["-w", &project.world, "componentize", ENTRY]);
    componentize.arg("-p").arg(project.directory.join("src")).arg("-p").arg(&project.sdk);
    componentize.args(["--stub-wasi", "-o"]).arg(component);
    run(&mut componentize)
}

/// The Python for which pip fetched componentize-py.
fn python(sdk: &Path, missing: Missing) -> Result<PathBuf> {
    if find_binary("python3").is_none() && !missing.install(&["python3-venv"])? {
        bail!(NoToolchain(
            "Python 3.10 or later is needed: install it (Debian: apt-get install python3-venv)"
                .into()
        ));
    }
    let requirements = sdk.join("build-requirements.txt");
    let pinned = fs::read(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let name = format!("python-tools-{}", &format!("{:x}", Sha256::digest(&pinned))[..16]);
    let installed = filled_once(&user_cache()?, &name, |directory| {
        Ok(fetch(directory, &requirements).map_err(NoToolchain::fetched)?)
    })?;
    Ok(installed.join("venv/bin/python"))
}

/// Makes a venv in `directory`, with what the file asks for.
fn fetch(directory: &Path, requirements: &Path) -> Result<()> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(directory.join("venv"));
    run(&mut venv).context("python3 has no venv (Debian: apt-get install python3-venv)")?;
    let mut pip = Command::new(directory.join("venv/bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    run(pip.arg(requirements)).context("pip could not fetch it: is PyPI reachable?")
}
