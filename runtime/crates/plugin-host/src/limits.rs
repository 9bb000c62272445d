//! How much a guest may take.

use std::fmt::Display;

use serde::Deserialize;

/// The bounds of guests, the same for every plugin of a host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of linear memory of a call, all its memories together.
    pub memory_bytes: usize,
    /// Linear memories of a component.
    pub memories: u32,
    /// Tables of a component.
    pub tables: u32,
    /// Elements of a table.
    pub table_elements: usize,
    /// Core instances of a component: languages with an interpreter link many modules.
    pub core_instances: u32,
    /// Bytes of the host's bookkeeping for an instance.
    pub instance_bytes: usize,
    /// Bytes of a component's lines and names for debuggers (DWARF), in which a trap is looked up.
    pub debug_bytes: usize,
    /// Bytes of one payload or message that a guest returns.
    pub payload_bytes: usize,
    /// Bytes of all that one call returns, and of what it hands over in one call of an import.
    pub result_bytes: usize,
    /// Effects that one call returns.
    pub effects: usize,
    /// Calls of imports in one call of an export.
    pub host_calls: u32,
    /// Bytes of a call's stack: 64 KiB to 1 MiB.
    pub stack_bytes: usize,
    /// Log lines of a call; further ones are dropped.
    pub log_lines: u32,
    /// Bytes of a log line; the rest is cut off.
    pub log_line_bytes: usize,
    /// Bytes that one call of `random-bytes` may ask for.
    pub random_bytes: u32,
    /// Requests that one call may send by HTTP.
    pub http_requests: u32,
    /// Bytes of a request, its headers included.
    pub http_request_bytes: usize,
    /// Bytes of an answer's body.
    pub http_response_bytes: usize,
    /// Headers of a request.
    pub http_headers: usize,
    /// Calls that may run long beside the pool: see the module `pool`.
    pub long_calls: usize,
}

/// How a limit is told to who hits it: its value, and its key in the configuration.
pub(crate) fn told(limit: impl Display, key: &str) -> String {
    format!("limit {limit} (plugins.guest_limits.{key})")
}

/// The same for a limit in bytes.
pub(crate) fn told_bytes(limit: impl Display, key: &str) -> String {
    told(format_args!("{limit} bytes"), key)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            memories: 8,
            tables: 64,
            table_elements: 50_000,
            core_instances: 200,
            instance_bytes: 8 << 20,
            debug_bytes: 4 << 20,
            payload_bytes: 1 << 20,
            result_bytes: 4 << 20,
            effects: 1_000,
            host_calls: 1_000_000,
            stack_bytes: 512 << 10,
            log_lines: 100,
            log_line_bytes: 8 << 10,
            random_bytes: 64 << 10,
            http_requests: 20,
            http_request_bytes: 1 << 20,
            http_response_bytes: 1 << 20,
            http_headers: 50,
            long_calls: 32,
        }
    }
}
