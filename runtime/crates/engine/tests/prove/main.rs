//! The proof of "Saga semantics": whatever happens to a saga of any definition, each step is one commit, nothing accepted
//! is lost, undo is exact and hosts that lost their lease commit nothing, on the store in memory and on Postgres.
//! `cargo xtask prove` runs it at length; docs/testing.md says what it proves.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]
#![allow(clippy::unnecessary_wraps, reason = "outcomes are results")]

mod cases;
mod choices;
mod coverage;
mod definitions;
mod memory;
mod model;
mod outcomes;
mod postgres;
mod simulation;
mod store;

use std::{sync::Arc, thread};

use futures::executor::block_on;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;
use wasaga_domain::start::NewSaga;

use cases::{Case, Plan, Worker, number, prove};
use choices::Choices;
use coverage::Coverage;
use memory::Memory;
use outcomes::payload;
use postgres::{Server, Twin};
use simulation::{BEGIN, Simulation};

/// So many cases reach all that is listed; so many on Postgres what is common.
const COVERING: (u32, u32) = (50_000, 500);

fn cores() -> usize {
    thread::available_parallelism().map_or(2, usize::from)
}

/// A case's store in memory, its saga and its chance.
fn set(case: Case) -> (Memory, NewSaga, Choices) {
    let definition = Arc::new(case.definition);
    let saga = NewSaga::of(&definition, None, payload(1), Uuid::new_v4(), BEGIN);
    (Memory::new(definition, saga.clone(), BEGIN), saga, Choices::new(case.choices))
}

struct InMemory;

impl Worker for InMemory {
    fn run(&mut self, case: Case, told: bool) -> Coverage {
        let (memory, saga, choices) = set(case);
        let definition = Arc::clone(memory.definition());
        block_on(Box::pin(Simulation::new(memory, definition, saga, choices).run(told)))
    }
}

struct OnPostgres {
    runtime: Runtime,
    server: Server,
}

impl OnPostgres {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(Server::new());
        Self { runtime, server }
    }
}

impl Worker for OnPostgres {
    fn run(&mut self, case: Case, told: bool) -> Coverage {
        let (memory, saga, choices) = set(case);
        let definition = Arc::clone(memory.definition());
        self.runtime.block_on(async {
            self.server.clear().await;
            let twin = Twin::new(&mut self.server, memory, saga.id);
            Box::pin(Simulation::new(twin, definition, saga, choices).run(told)).await
        })
    }
}

#[test]
fn in_memory() {
    let cases = number("WASAGA_PROVE_CASES", COVERING.0);
    let plan = Plan { cases, chunk: 500, workers: cores(), shrinks: 50_000 };
    let coverage = prove(plan, || InMemory);
    let faults = coverage.faults();
    assert!(faults.is_empty() || cases < COVERING.0, "{faults:#?}");
}

#[test]
fn on_postgres() {
    let cases = number("WASAGA_PROVE_POSTGRES_CASES", 50);
    let plan = Plan { cases, chunk: 5, workers: 2 * cores(), shrinks: 500 };
    let coverage = prove(plan, OnPostgres::new);
    let faults = coverage.common_faults();
    assert!(faults.is_empty() || cases < COVERING.1, "{faults:#?}");
}
