//! `cargo xtask release`: the files of a release, from which the demo takes what cannot be built on its machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use wasaga_services::guests::{Release, write_sums};

use crate::{guests, workspace};

#[derive(clap::Args)]
pub struct Arguments {
    /// Where they go [default: dist in the target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let out_dir = match &arguments.out {
        Some(out_dir) => out_dir.clone(),
        None => workspace::target_dir()?.join("dist"),
    };
    let built = guests::build_needed(&guests::ORDER_SAGA, &out_dir)?;
    let sums = write_sums(&built, &out_dir)?;
    guests::tell(&built);
    println!("{}", sums.display());
    match Release::of(&workspace::root(), None)? {
        Some(release) => println!("\nthe demo of this version takes them from {}", release.place),
        None => println!(
            "\nthe demo takes them from where WASAGA_RELEASE says; and without it from the repository's release, once \
             Cargo.toml has a workspace.package.repository"
        ),
    }
    Ok(ExitCode::SUCCESS)
}
