//! Components that are made of more than their host's limits allow, or that grow past them: refused by the limit's name.

use wasaga_plugin_host::{Limits, Options};

use crate::stage::{active, generous, host, rejection};

/// Why a host with these limits refuses a component of these parts.
async fn refusal(limits: Limits, parts: &str) -> String {
    let host = host(Options { limits, ..generous() });
    let bytes = wat::parse_str(format!("(component {parts})")).expect("it is WebAssembly");
    let reason = rejection(host.install_local(bytes).await);
    assert!(active(&host).is_empty());
    reason
}

/// A component of one core module of these parts.
fn module(parts: &str) -> String {
    format!("(core module $m {parts}) (core instance (instantiate $m))")
}

#[tokio::test]
async fn a_component_is_made_of_no_more_than_its_limits() {
    let few = Limits { memories: 2, tables: 2, core_instances: 2, ..Limits::default() };
    let twice = |parts: &str| {
        let instance = "(core instance (instantiate $m))";
        format!("(core module $m {parts}) {instance} {instance}")
    };
    let globals = "(global (mut v128) (v128.const i64x2 0 0))".repeat(4_000);
    let small = Limits { instance_bytes: 32 << 10, ..Limits::default() };
    let half = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    for (limits, parts, key) in [
        (Limits::default(), module("(table 50001 funcref)"), "table_elements"),
        (half, module("(memory 17)"), "memory_bytes"),
        (few.clone(), module(&"(table 1 funcref)".repeat(3)), "tables"),
        (few.clone(), twice(&"(table 1 funcref)".repeat(2)), "tables"),
        (few.clone(), module(&"(memory 1)".repeat(3)), "memories"),
        (few.clone(), twice(&"(memory 1)".repeat(2)), "memories"),
        (few, twice("") + "(core instance (instantiate $m))", "core_instances"),
        (small, module(&globals), "instance_bytes"),
    ] {
        let reason = refusal(limits, &parts).await;
        assert!(reason.starts_with("component is made of too much: "), "{reason}");
        assert!(reason.contains(&format!("(plugins.guest_limits.{key}): ")), "{reason}");
    }
}

/// A component that does this when it is asked what it is.
fn asked(does: &str) -> String {
    format!(
        r#"(core module $m
            (memory (export "memory") 1)
            (table $t 1 funcref)
            (func (export "describe") (result i32) {does} (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $describe (result string) (canon lift (core func $i "describe") (memory (core memory $i "memory"))))
        (instance $plugin (export "describe" (func $describe)))
        (export "wasaga:plugin/plugin@0.1.0" (instance $plugin))"#
    )
}

#[tokio::test]
async fn tables_and_memories_grow_to_their_limits() {
    let limits = Limits { memory_bytes: 64 << 20, ..Limits::default() };
    let grown = "(drop (table.grow $t (ref.null func) (i32.const 49999)))
        (drop (memory.grow (i32.const 1023)))";
    let reason = refusal(limits.clone(), &asked(grown)).await;
    assert!(reason.starts_with("manifest: "), "as much as is allowed: {reason}");
    for (does, told) in [
        (
            "(drop (table.grow $t (ref.null func) (i32.const 50000)))",
            "table too large: limit 50000 elements (plugins.guest_limits.table_elements)",
        ),
        (
            "(drop (memory.grow (i32.const 1024)))",
            "out of memory: limit 67108864 bytes (plugins.guest_limits.memory_bytes)",
        ),
    ] {
        let reason = refusal(limits.clone(), &asked(does)).await;
        assert!(reason.contains(told), "{reason}");
    }
}
