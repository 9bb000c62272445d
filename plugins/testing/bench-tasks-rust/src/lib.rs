//! The benchmark's worker: each record is done at once.

use wasaga_guest::{manifest::Manifest, prelude::*};

struct Bench;

impl Plugin for Bench {
    fn manifest() -> Manifest {
        Manifest::new("bench-tasks", env!("CARGO_PKG_VERSION")).handles("bench")
    }
}

impl Tasks for Bench {
    fn handle_in(_: &FlowTask) -> Result<Vec<Effect>, Failure> {
        Ok(Vec::new())
    }
}

wasaga_guest::task_plugin!(Bench);
