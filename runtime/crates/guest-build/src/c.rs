//! Guests in C: every `src/*.c` of the project, with the SDK and the generated bindings, by clang and wasi-libc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::programs::{find_binary, run};
use crate::{Missing, NoToolchain, Project, bindings, component};

const DEBIAN_PACKAGES: [&str; 4] = ["clang-14", "lld-14", "wasi-libc", "libclang-rt-14-dev-wasm32"];
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi/libc.a";
const TARGET: &str = "--target=wasm32-wasi";
/// The stack lies first, so that one that overflows traps, and overwrites nothing.
const LINK: [&str; 2] = ["-mexec-model=reactor", "-Wl,--stack-first,-z,stack-size=262144"];

/// A clang, and where wasi-libc is.
struct Toolchain {
    clang: PathBuf,
    sysroot: PathBuf,
}

impl Toolchain {
    /// A WASI SDK (`WASI_SDK_PATH`), or Debian's packages.
    fn detect(missing: Missing) -> Result<Self> {
        if let Some(sdk) = std::env::var_os("WASI_SDK_PATH").map(PathBuf::from) {
            let (clang, sysroot) = (sdk.join("bin/clang"), sdk.join("share/wasi-sysroot"));
            if !clang.is_file() {
                bail!("WASI_SDK_PATH has no bin/clang: set it to where a WASI SDK is, or unset it");
            }
            return Ok(Self { clang, sysroot });
        }
        match Self::debian() {
            Some(debian) => Ok(debian),
            None if missing.install(&DEBIAN_PACKAGES)? => {
                Self::debian().context("Debian's packages have no clang-14 and wasi-libc")
            }
            None => bail!(NoToolchain(format!(
                "no C compiler for WebAssembly: install the WASI SDK and set WASI_SDK_PATH (or on Debian `apt-get \
                 install {}`)",
                DEBIAN_PACKAGES.join(" ")
            ))),
        }
    }

    fn debian() -> Option<Self> {
        let clang = find_binary("clang-14")?;
        let linker = find_binary("wasm-ld-14")?;
        (linker.is_file() && Path::new(DEBIAN_LIBC).is_file())
            .then(|| Self { clang, sysroot: "/usr".into() })
    }

    fn clang(&self) -> Command {
        let mut clang = Command::new(&self.clang);
        clang.arg(TARGET).arg(format!("--sysroot={}", self.sysroot.display()));
        clang.args(["-std=gnu17", "-Os"]);
        clang
    }
}

pub(crate) fn build(
    project: &Project,
    work_dir: &Path,
    out: &Path,
    missing: Missing,
) -> Result<()> {
    let toolchain = Toolchain::detect(missing)?;
    let exports = bindings::write(&project.wit, &project.world, work_dir)?;
    let bindings = work_dir.join("guest.o");
    // Generated code: its warnings are nobody's.
    let mut clang = toolchain.clang();
    clang.arg("-w").arg("-c").arg(work_dir.join("guest.c")).arg("-o").arg(&bindings);
    run(&mut clang)?;

    let of_sdk = sources(&project.sdk.join("src"))?;
    // Only what the world has can be compiled: an interface's exports are in the file of its name.
    let is_other = |path: &PathBuf| {
        let needs = match &*path.file_stem().unwrap_or_default().to_string_lossy() {
            "context" | "steps" => "steps",
            "tasks" => "tasks",
            "lifecycle" => "lifecycle",
            _ => return false,
        };
        !exports.iter().any(|export| export == needs)
    };
    let core = work_dir.join("core.wasm");
    let mut clang = toolchain.clang();
    clang.args(["-Wall", "-Wextra", "-Werror", "-gline-tables-only"]).args(LINK);
    // What a trap tells of lines names no directory of this machine.
    for (directory, shown) in [(&project.directory, ""), (&project.sdk, "sdk/c/")] {
        clang.arg(format!("-ffile-prefix-map={}/={shown}", directory.display()));
    }
    clang.arg("-fdebug-compilation-dir=.");
    clang.arg("-I").arg(project.sdk.join("include")).arg("-I").arg(work_dir);
    clang.args(of_sdk.into_iter().filter(|path| !is_other(path)));
    clang.args(sources(&project.directory.join("src"))?);
    clang.args([bindings, work_dir.join("guest_component_type.o")]).arg("-o").arg(&core);
    run(&mut clang)?;
    component::write(&core, &project.wit, &project.world, out)
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut sources: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    sources.sort();
    Ok(sources)
}
