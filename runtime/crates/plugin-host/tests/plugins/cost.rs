//! What a call costs, to be read by a person: `cargo test --release -p wasaga-plugin-host cost -- --ignored --nocapture`.

use std::time::Instant;

use serde_json::json;
use wasaga_plugin_host::Options;

use crate::stage::{call, component, generous, host, report, reports};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn cost_of_a_call() {
    const CALLS: u32 = 20_000;
    for threads in [1, 2] {
        let host = host(Options { threads, ..generous() });
        host.install_local(component("bench-rust")).await.expect("it loads");
        for _ in 0..100 {
            report(&host, call("bench", &json!({}))).await;
        }
        let calls: Vec<_> = (0..CALLS).map(|_| call("bench", &json!({"order": 1}))).collect();
        let begun = Instant::now();
        let reports = tokio::task::block_in_place(|| reports(&host, calls));
        let each = begun.elapsed() / CALLS;
        assert!(reports.iter().all(|report| report.outcome.is_ok()));
        println!("{threads} threads: {each:?} a call, queue and report included");
    }
}
