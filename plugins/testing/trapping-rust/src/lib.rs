//! Traps when it is asked what it is.

use wasaga_guest::{manifest::Manifest, prelude::*};

struct Trapping;

impl Plugin for Trapping {
    fn manifest() -> Manifest {
        panic!("it will not say what it is")
    }
}

impl Steps for Trapping {
    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        Err(task.unknown_step())
    }
}

wasaga_guest::saga_plugin!(Trapping);
