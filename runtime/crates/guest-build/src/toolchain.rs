//! Which Rust compiles guests, and how.
//!
//! Guests are built for `wasm32-unknown-unknown` and linked by wasm-component-ld: a component
//! without a single WASI import. Its std comes from rustup, or is built from Debian's sources.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::programs::{find_binary, output_of, run};
use crate::{Missing, NoToolchain};

const BARE: &str = "wasm32-unknown-unknown";
const WASI: &str = "wasm32-wasip2";
const LINKER: &str = "wasm-component-ld";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
/// Set by cargo around `cargo xtask`, or by the user for the host's code; each changes what a
/// guest is built with.
const HARMFUL: [&str; 10] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
];

/// A way to compile guests that was found on this machine.
#[derive(Clone, Debug)]
pub struct GuestToolchain {
    cargo: PathBuf,
    /// Holds wasm-component-ld and rust-lld.
    linkers: PathBuf,
    std: Std,
}

/// Where the guests' standard library comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Std {
    /// Rustup's, for `wasm32-unknown-unknown`.
    Rustup,
    /// Built from the sources of Debian's rustc-web.
    Debian,
    /// Rustup's, for `wasm32-wasip2`: such guests import WASI whether they use it or not.
    RustupWasi,
}

impl GuestToolchain {
    /// What is there is taken first, then what can be installed: rustup's target, Debian's
    /// packages (as root). `WASAGA_GUEST_STD` (`rustup`, `debian` or `wasi`) takes that one.
    pub fn detect(missing: Missing) -> Result<Self> {
        let cargo = cargo()?;
        // The compiler beside that cargo: another one may be first on PATH.
        let rustc = cargo.with_file_name("rustc");
        let sysroot = output_of(Command::new(&rustc).args(["--print", "sysroot"]))?;
        let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
        let version = output_of(Command::new(&rustc).arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let linkers = libraries.join(host.context("rustc -vV names no host")?).join("bin");
        if !linkers.join(LINKER).is_file() && find_binary(LINKER).is_none() {
            let missing = format!("{LINKER} is not part of this Rust: install Rust by rustup");
            bail!(NoToolchain(missing));
        }

        let std = match std::env::var("WASAGA_GUEST_STD").as_deref() {
            Err(_) | Ok("") => Std::detect(&libraries, missing)?,
            Ok("rustup") => Std::Rustup,
            Ok("debian") => Std::Debian,
            Ok("wasi") => Std::RustupWasi,
            Ok(other) => bail!("WASAGA_GUEST_STD is `{other}`: rustup, debian or wasi are known"),
        };
        Ok(Self { cargo, linkers, std })
    }

    /// The target triple, which is also cargo's directory of what it built.
    pub(crate) fn target(&self) -> &'static str {
        match self.std {
            Std::Rustup | Std::Debian => BARE,
            Std::RustupWasi => WASI,
        }
    }

    /// Arguments of `cargo build` beside `--release`.
    pub(crate) fn build_arguments(&self) -> Vec<&'static str> {
        let build_std = (self.std == Std::Debian).then_some("-Zbuild-std=std,panic_abort");
        ["--target", self.target()].into_iter().chain(build_std).collect()
    }

    /// A cargo for `workspace` without what the surrounding cargo left in the environment.
    pub(crate) fn cargo(&self, workspace: &Path) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo.current_dir(workspace);
        for name in HARMFUL {
            cargo.env_remove(name);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.linkers.clone()).chain(std::env::split_paths(&path));
        // A directory with a colon cannot be on PATH; then the linker is simply not found.
        if let Ok(path) = std::env::join_paths(path) {
            cargo.env("PATH", path);
        }
        // What a trap tells of lines names no directory of this machine.
        let mut flags = vec![format!("--remap-path-prefix={}=.", workspace.display())];
        if self.std != Std::RustupWasi {
            flags.extend([format!("-Clinker={LINKER}"), "-Clinker-flavor=wasm-ld".to_owned()]);
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        if self.std == Std::Debian {
            // -Zbuild-std is not stable: the compiler is told to take it.
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
        }
        cargo
    }
}

/// The cargo that runs this program, or the one on PATH.
pub(crate) fn cargo() -> Result<PathBuf> {
    let missing = || NoToolchain("cargo is not on PATH: install Rust by rustup".into());
    match std::env::var_os("CARGO") {
        Some(cargo) => Ok(PathBuf::from(cargo)),
        None => Ok(find_binary("cargo").ok_or_else(missing)?),
    }
}

impl fmt::Display for GuestToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let std = match self.std {
            Std::Rustup | Std::RustupWasi => "rustup's std",
            Std::Debian => "std built by Debian's rustc-web",
        };
        write!(f, "{} and {std}", self.target())
    }
}

impl Std {
    fn detect(libraries: &Path, missing: Missing) -> Result<Self> {
        let has = |target: &str| libraries.join(target).join("lib").is_dir();
        let has_debian = || Path::new(DEBIAN_RUSTC).is_file() && Path::new(DEBIAN_SOURCE).is_dir();
        if has(BARE) {
            return Ok(Self::Rustup);
        }
        if has_debian() {
            return Ok(Self::Debian);
        }
        if missing == Missing::Install && find_binary("rustup").is_some() {
            // Fails fast without a network; then the next way is tried.
            let added = run(Command::new("rustup").args(["target", "add", BARE]));
            if added.is_ok() && has(BARE) {
                return Ok(Self::Rustup);
            }
        }
        if missing.install(&DEBIAN_PACKAGES)? && has_debian() {
            return Ok(Self::Debian);
        }
        if has(WASI) {
            return Ok(Self::RustupWasi);
        }
        bail!(NoToolchain(format!(
            "no Rust standard library for WebAssembly: run `rustup target add {BARE}` (or on \
             Debian `apt-get install {}`)",
            DEBIAN_PACKAGES.join(" ")
        )))
    }
}
