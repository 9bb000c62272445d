//! Cases by the chunk, over the cores; a chunk that fails is shrunk, told and can be run again by its seed.

use std::{
    env, fmt,
    hash::{BuildHasher, RandomState},
    panic,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Instant,
};

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestError, TestRng, TestRunner},
};
use wasaga_domain::definition::Definition;

use crate::{coverage::Coverage, definitions::any_definition};

/// A definition, and what chance makes of it.
#[derive(Clone)]
pub struct Case {
    pub definition: Definition,
    pub choices: Vec<u8>,
}

impl fmt::Debug for Case {
    /// With a line for all the choices.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#?}\nchoices: {:?}", self.definition, self.choices)
    }
}

/// Runs a case, and prints what happens where it is to be told.
pub trait Worker {
    fn run(&mut self, case: Case, told: bool) -> Coverage;
}

/// How many cases, in chunks of how many, by how many workers at once.
#[derive(Clone, Copy)]
pub struct Plan {
    pub cases: u32,
    pub chunk: u32,
    pub workers: usize,
    pub shrinks: u32,
}

/// The number that this variable names, or the other one.
pub fn number<N: FromStr>(variable: &str, other: N) -> N
where
    N::Err: fmt::Debug,
{
    match env::var(variable) {
        Ok(number) => number.parse().unwrap_or_else(|error| panic!("{variable}: {error:?}")),
        Err(_) => other,
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let choices = prop::collection::vec(any::<u8>(), 0..600);
    (any_definition(), choices).prop_map(|(definition, choices)| Case { definition, choices })
}

/// Runs the cases of a plan, and answers with what has happened in them.
pub fn prove<W: Worker>(plan: Plan, worker: impl Fn() -> W + Sync) -> Coverage {
    // Not of more than a chunk, and random where nobody asks for one.
    let seed = number("WASAGA_PROVE_SEED", RandomState::new().hash_one(0) >> 16);
    let (next, begun) = (AtomicU32::new(0), Instant::now());
    let coverage = Mutex::new(Coverage::default());
    let chunks = plan.cases.div_ceil(plan.chunk);
    let work = || {
        let mut worker = worker();
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                return;
            }
            let cases = plan.chunk.min(plan.cases - chunk * plan.chunk);
            let happened = run_chunk(Plan { cases, ..plan }, seed + u64::from(chunk), &mut worker);
            coverage.lock().unwrap().add(&happened);
        }
    };
    quietly(|| {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..plan.workers).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                if let Err(panicked) = worker.join() {
                    panic::resume_unwind(panicked);
                }
            }
        });
    });
    let coverage = coverage.into_inner().unwrap();
    println!("{coverage}");
    let took = begun.elapsed();
    println!("{} cases in {took:.1?}, {:.1?} each", plan.cases, took / plan.cases.max(1));
    coverage
}

fn run_chunk(plan: Plan, seed: u64, worker: &mut impl Worker) -> Coverage {
    let config = ProptestConfig {
        cases: plan.cases,
        failure_persistence: None,
        max_shrink_iters: plan.shrinks,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let coverage = Mutex::new(Coverage::default());
    let worker = Mutex::new(worker);
    let failed = TestRunner::new_with_rng(config, rng).run(&any_case(), |case| {
        // A case that panicked has left it poisoned, and as good as before.
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let happened = worker.run(case, false);
        coverage.lock().unwrap().add(&happened);
        Ok(())
    });
    let Err(failed) = failed else { return coverage.into_inner().unwrap() };
    if let TestError::Fail(_, case) = &failed {
        println!("the story of the smallest case that fails:");
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let told = panic::AssertUnwindSafe(|| worker.run(case.clone(), true));
        let _ = panic::catch_unwind(told);
    }
    let cases = plan.chunk;
    panic!("{failed}\nto run it again: WASAGA_PROVE_SEED={seed} and no more than {cases} cases")
}

/// Without a word about each panic of the cases that are shrunk: the smallest one tells.
fn quietly(run: impl FnOnce()) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let ran = panic::catch_unwind(panic::AssertUnwindSafe(run));
    panic::set_hook(hook);
    if let Err(panicked) = ran {
        let why = panicked.downcast_ref::<String>().cloned().unwrap_or_default();
        panic!("{why}");
    }
}
