//! `cargo xtask guests`: the plugins as WebAssembly components.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use wasaga_services::guests::{Built, Guest, Guests, Release};

use crate::workspace;

/// The plugins of the order saga.
pub const ORDER_SAGA: [&str; 6] = [
    "order-saga-rust",
    "inventory-rust",
    "tax-c",
    "payment-python",
    "shipping-javascript",
    "notification-go",
];

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
    tell(&built.guests);
    Ok(if built.unbuilt.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says where these components are, and how large.
pub fn tell(guests: &[Guest]) {
    for guest in guests {
        println!("{} ({:.1} kB)", guest.path.display(), guest.bytes as f64 / 1000.0);
    }
}

/// Builds all guests to where tests and bench take them from, and says where that is. One that cannot be built is named,
/// and fails the tests that need it.
pub fn build_all() -> Result<(PathBuf, Vec<Guest>)> {
    let out_dir = out_dir()?;
    let built = build(&[], &out_dir)?;
    Ok((out_dir, built.guests))
}

/// Builds these guests, all of which are needed, into a directory.
pub fn build_needed(members: &[&str], out_dir: &Path) -> Result<Vec<Guest>> {
    let built = build(members, out_dir)?;
    if let Some(guest) = built.unbuilt.first() {
        bail!("{} is needed, and not built", guest.name);
    }
    Ok(built.guests)
}

/// Builds these guests, all of which are needed, into a directory; takes from the release of this version what has no
/// toolchain here, and says so.
pub fn build_or_take(members: &[&str], out_dir: &Path) -> Result<()> {
    let built = guests()?.build(members, out_dir)?;
    let release = Release::of(&workspace::root(), env::var("WASAGA_RELEASE").ok())?;
    for taken in built.or_released(release.as_ref(), out_dir)? {
        println!("{taken}");
    }
    Ok(())
}

/// Builds these guests (none: all) into a directory, and names those that cannot be built.
fn build(members: &[&str], out_dir: &Path) -> Result<Built> {
    let built = guests()?.build(members, out_dir)?;
    for guest in &built.unbuilt {
        eprintln!("error: {} is not built: {}", guest.name, guest.reason);
    }
    Ok(built)
}

fn guests() -> Result<Guests> {
    Ok(Guests { root: workspace::root(), target_dir: workspace::target_dir()?.join("guests") })
}

fn out_dir() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("guests-out"))
}
