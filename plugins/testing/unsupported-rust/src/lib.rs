//! Asks for `http_hosts`, which a host that has no `http` yet refuses by name.

use wasaga_guest::{
    manifest::{Capabilities, Manifest, Saga, Step},
    prelude::*,
};

struct Unsupported;

impl Plugin for Unsupported {
    fn manifest() -> Manifest {
        Manifest::new("unsupported", env!("CARGO_PKG_VERSION"))
            .saga(Saga::new("unsupported", 1).step(Step::new("a")))
            .capabilities(Capabilities::new().http_host("api.example.com"))
    }
}

impl Steps for Unsupported {
    fn execute(_: &StepTask) -> Result<Outcome, Failure> {
        done_empty().into()
    }
}

wasaga_guest::saga_plugin!(Unsupported);
