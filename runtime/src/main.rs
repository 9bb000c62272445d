//! `wasaga`: see `wasaga --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wasaga::cli::main()
}
