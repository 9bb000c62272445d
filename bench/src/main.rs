//! Measurements, each on a database of its own and each beside the limits that it can be held against in the same
//! run. `cargo xtask bench` sets up what they need.

mod call;
mod figures;
mod inbox;
mod languages;
mod limits;
mod load;
mod neighbours;
mod null;
mod records;
mod relay;
mod sagas;
mod steady;
mod swap;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "wasaga-bench", about = "Measurements of wasaga")]
enum Bench {
    /// A four-step saga from its start to its committed end, in a closed loop
    Sagas(sagas::Arguments),
    /// What a plugin costs, by its language
    Call(languages::Arguments),
    /// Sagas of one plugin while another misbehaves
    Neighbours(neighbours::Arguments),
    /// Records to finished tasks, a fresh WASM instance each
    Inbox(inbox::Arguments),
    /// The outbox's relay, from the commit to the consumer
    Relay(relay::Arguments),
    /// Steps while a plugin is swapped, beside steps while it is not
    Swap(swap::Arguments),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Bench::parse() {
        Bench::Sagas(arguments) => sagas::run(&arguments).await,
        Bench::Call(arguments) => languages::run(&arguments).await,
        Bench::Inbox(arguments) => inbox::run(&arguments).await,
        Bench::Neighbours(arguments) => neighbours::run(&arguments).await,
        Bench::Relay(arguments) => relay::run(&arguments).await,
        Bench::Swap(arguments) => swap::run(&arguments).await,
    }
}
