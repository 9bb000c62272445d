//! Time and chance, from the host: a guest has neither of its own.

use crate::bindings::imports::wasaga::plugin::ambient;

/// Unix time, milliseconds, UTC.
pub fn now_ms() -> u64 {
    ambient::now_ms()
}

/// This many random bytes.
pub fn random_bytes(length: u32) -> Vec<u8> {
    ambient::random_bytes(length)
}
