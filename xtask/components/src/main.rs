//! What `cargo xtask guests` needs of the component model for C and Go: C bindings of a world, and a component of a core
//! module. `cargo xtask guests` builds and runs it.

mod bindings;
mod component;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Write guest.h and guest.c, the C bindings of a world, and print the interfaces that it exports
    Bindings { wit: PathBuf, world: String, out_dir: PathBuf },
    /// Make a component of a core module; what it asks of WASI preview 1 becomes the host's clock, chance and log
    Component { module: PathBuf, wit: PathBuf, world: String, out: PathBuf },
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Bindings { wit, world, out_dir } => bindings::write(&wit, &world, &out_dir),
        Command::Component { module, wit, world, out } => {
            component::write(&module, &wit, &world, &out)
        }
    }
}
