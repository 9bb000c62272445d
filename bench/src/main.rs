//! Measurements, each on a database of its own and each beside the limits that it can be held against in the same
//! run. `cargo xtask bench` sets up what they need.

mod call;
mod limits;
mod null;
mod sagas;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "wasaga-bench", about = "Measurements of wasaga")]
enum Bench {
    /// A four-step saga from its start to its committed end, in a closed loop
    Sagas(sagas::Arguments),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Bench::parse() {
        Bench::Sagas(arguments) => sagas::run(&arguments).await,
    }
}
