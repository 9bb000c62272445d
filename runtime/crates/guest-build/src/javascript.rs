//! Guests in JavaScript and TypeScript: checked by tsc where there is a tsconfig.json, bundled by esbuild, and run by `QuickJS` in
//! the component. The tools come from npm, in the versions of the SDK's lock file.

mod lines;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::{filled_once, user_cache};
use crate::programs::{find_binary, run};
use crate::{Missing, NoToolchain, Project};

/// Where a project's code begins: the first that is there.
const ENTRIES: [&str; 2] = ["src/plugin.ts", "src/plugin.js"];

const DEBIAN_PACKAGES: [&str; 2] = ["nodejs", "npm"];

pub(crate) fn build(
    project: &Project,
    work_dir: &Path,
    component: &Path,
    missing: Missing,
) -> Result<()> {
    let tools = tools(&project.sdk, missing)?;
    let entry = ENTRIES.iter().find(|entry| project.directory.join(entry).is_file());
    let Some(entry) = entry else {
        bail!("{} has no {}", project.directory.display(), ENTRIES.join(" or "));
    };
    if project.directory.join("tsconfig.json").is_file() {
        let mut tsc = Command::new(tools.join("tsc"));
        run(tsc.current_dir(&project.directory).arg("--noEmit")).context("types don't fit")?;
    }
    let bundle = work_dir.join("bundle.js");
    let mut esbuild = Command::new(tools.join("esbuild"));
    esbuild.current_dir(&project.directory).arg(entry);
    esbuild.args(["--bundle", "--format=esm", "--platform=neutral", "--main-fields=module,main"]);
    esbuild.args(["--target=es2022", "--external:wasaga:*", "--log-level=warning"]);
    esbuild.arg(format!("--alias:wasaga-guest={}", project.sdk.join("src/index.js").display()));
    esbuild.arg(format!("--outfile={}", bundle.display()));
    esbuild.args(["--sourcemap=external", "--sources-content=false"]);
    run(&mut esbuild)?;
    lines::append(project, &bundle)?;

    let mut componentize = Command::new(tools.join("componentize-qjs"));
    componentize.arg("-w").arg(&project.wit).args(["-n", &project.world]).arg("-j").arg(&bundle);
    componentize.args(["--sync", "--stub-wasi", "--opt-size", "-o"]).arg(component);
    run(&mut componentize)
}

/// The directory of the tools, which npm fetched.
fn tools(sdk: &Path, missing: Missing) -> Result<PathBuf> {
    let has_node = || find_binary("node").is_some() && find_binary("npm").is_some();
    if !has_node() && !missing.install(&DEBIAN_PACKAGES)? {
        bail!(NoToolchain(
            "Node.js 20 or later and npm are needed: install them (Debian: apt-get install nodejs npm)"
                .into()
        ));
    }
    let files = ["package.json", "package-lock.json"];
    let mut hasher = Sha256::new();
    for file in files {
        let path = sdk.join(file);
        hasher.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let name = format!("javascript-tools-{}", &format!("{:x}", hasher.finalize())[..16]);
    let installed = filled_once(&user_cache()?, &name, |directory| {
        for file in files {
            fs::copy(sdk.join(file), directory.join(file))?;
        }
        let mut npm = Command::new("npm");
        // Not `npm ci`: componentize-qjs names packages for machines for which there is none, and that is refused.
        npm.args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]);
        npm.arg("--loglevel=error").current_dir(directory);
        let fetched = run(&mut npm);
        let fetched = fetched.context("npm could not fetch the tools: is its registry reachable?");
        Ok(fetched.map_err(NoToolchain::fetched)?)
    })?;
    Ok(installed.join("node_modules/.bin"))
}
