//! The benchmark's saga: four steps, each done at once, with nothing to undo.

use wasaga_guest::{
    manifest::{Manifest, Saga, Step},
    prelude::*,
};

struct Bench;

impl Plugin for Bench {
    fn manifest() -> Manifest {
        let steps = ["a", "b", "c", "d"].map(Step::new);
        let saga = steps.into_iter().fold(Saga::new("bench", 1), Saga::step);
        Manifest::new("bench", env!("CARGO_PKG_VERSION")).saga(saga)
    }
}

impl Steps for Bench {
    fn execute(task: &StepTask) -> Result<Outcome, Failure> {
        done(Payload::new("application/json", format!(r#"{{"done":"{}"}}"#, task.step()))).into()
    }
}

wasaga_guest::saga_plugin!(Bench);
