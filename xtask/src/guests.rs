//! `cargo xtask guests`: the plugins as WebAssembly components.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use wasaga_services::guests::{Guest, GuestToolchain, GuestWorkspace};

use crate::workspace;

#[derive(clap::Args)]
pub struct Arguments {
    /// Packages of plugins/ to build [default: all guests]
    members: Vec<String>,
    /// Where the components go [default: guests-out in the target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let out_dir = match &arguments.out {
        Some(out_dir) => out_dir.clone(),
        None => out_dir()?,
    };
    let members: Vec<&str> = arguments.members.iter().map(String::as_str).collect();
    for guest in build(&members, out_dir)? {
        println!("{} ({:.1} kB)", guest.path.display(), guest.bytes as f64 / 1000.0);
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds all guests to where tests and bench take them from, and says where that is.
pub fn build_all() -> Result<PathBuf> {
    let out_dir = out_dir()?;
    build(&[], out_dir.clone())?;
    Ok(out_dir)
}

/// Builds these packages of plugins/ (none: all) into a directory.
pub fn build(members: &[&str], out_dir: PathBuf) -> Result<Vec<Guest>> {
    let toolchain = GuestToolchain::detect()?;
    eprintln!("building guests for {toolchain}");
    let root = workspace::root().join("plugins");
    let target_dir = workspace::target_dir()?.join("guests");
    GuestWorkspace { root, target_dir }.build(&toolchain, members, &out_dir)
}

fn out_dir() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("guests-out"))
}
