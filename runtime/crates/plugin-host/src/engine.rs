//! The wasmtime engine: one a host, with a ticker thread that ends calls at their deadline.

use std::{num::NonZeroUsize, thread, time::Duration};

use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::{
    limits::Limits,
    trace::FRAMES,
    usage::{Behind, run_behind},
};

/// How often an epoch begins, and so how exactly a deadline is kept.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Core instances, memories and tables that are set aside for each call that runs at once: most components need one
/// or two. A host full of larger ones runs fewer at once, and says `overloaded`.
const USUAL_CORE_INSTANCES: u32 = 10;
const USUAL_MEMORIES: u32 = 2;

/// What the host's own functions may take of a stack on which a guest runs.
pub(crate) const HOST_STACK: usize = 1 << 20;

/// An engine for `at_once` calls. The ticker ends with it.
pub(crate) fn engine(limits: &Limits, at_once: u32) -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(at_once)
        .total_core_instances(
            at_once.saturating_mul(USUAL_CORE_INSTANCES).max(limits.core_instances),
        )
        .total_memories(at_once.saturating_mul(USUAL_MEMORIES).max(limits.memories))
        .total_tables(at_once.saturating_mul(USUAL_CORE_INSTANCES).max(limits.tables))
        .total_stacks(at_once)
        .max_core_instances_per_component(limits.core_instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_tables_per_module(limits.tables)
        .max_memories_per_module(limits.memories)
        .table_elements(limits.table_elements)
        .max_core_instance_size(limits.instance_bytes)
        .max_component_instance_size(limits.instance_bytes)
        .max_memory_size(limits.memory_bytes)
        // The few pages that a small guest dirties are found and cleared by hand where the kernel tells which they are
        // (Linux 6.7): half the cost of giving them back and faulting them in again.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        .async_stack_size(limits.stack_bytes + HOST_STACK)
        .concurrency_support(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES))
        .parallel_compilation(true)
        .memory_init_cow(true)
        .allocation_strategy(pool);
    // wasmtime compiles on the threads of rayon's global pool, which nobody else here uses; a host after the first finds it made.
    let _ =
        rayon::ThreadPoolBuilder::new().start_handler(|_| run_behind(Behind::Loads)).build_global();
    let engine = Engine::new(&config)?;
    tick(&engine);
    Ok(engine)
}

fn tick(engine: &Engine) {
    let engine = engine.weak();
    thread::Builder::new()
        .name("guest-ticker".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .expect("a host that cannot start a thread cannot start");
}

/// Epochs in this time, at least one.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX / 2).max(1)
}
