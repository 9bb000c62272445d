//! `cargo xtask guests`: the plugins as WebAssembly components.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use wasaga_services::guests::{Built, Guest, Guests};

use crate::workspace;

#[derive(clap::Args)]
pub struct Arguments {
    /// Plugins to build: packages or projects of plugins/ [default: all]
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
    let built = build(&members, &out_dir)?;
    for guest in &built.guests {
        println!("{} ({:.1} kB)", guest.path.display(), guest.bytes as f64 / 1000.0);
    }
    Ok(if built.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds all guests to where tests and bench take them from, and says where that is. One that cannot be built is named,
/// and fails the tests that need it.
pub fn build_all() -> Result<(PathBuf, Vec<Guest>)> {
    let out_dir = out_dir()?;
    let built = build(&[], &out_dir)?;
    Ok((out_dir, built.guests))
}

/// Builds these guests, all of which are needed, into a directory.
pub fn build_needed(members: &[&str], out_dir: &Path) -> Result<()> {
    let built = build(members, out_dir)?;
    if let Some((name, _)) = built.missing.first() {
        bail!("{name} is needed, and not built");
    }
    Ok(())
}

/// Builds these guests (none: all) into a directory, and names those that cannot be built.
fn build(members: &[&str], out_dir: &Path) -> Result<Built> {
    let guests =
        Guests { root: workspace::root(), target_dir: workspace::target_dir()?.join("guests") };
    let built = guests.build(members, out_dir)?;
    for (name, reason) in &built.missing {
        eprintln!("error: {name} is not built: {reason}");
    }
    Ok(built)
}

fn out_dir() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("guests-out"))
}
