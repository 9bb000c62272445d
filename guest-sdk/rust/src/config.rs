//! What the operator configured for this plugin: only keys that the manifest's `config_keys` and `secrets` name are seen.

use crate::{bindings::imports::wasaga::plugin::config, failure::Failure};

/// The value under this key, if there is one.
pub fn get(key: &str) -> Option<String> {
    config::get(key)
}

/// The value under this key; a permanent failure that names the key when there is none.
pub fn require(key: &str) -> Result<String, Failure> {
    get(key).ok_or_else(|| {
        let message = format!("the configuration has no value for this plugin's key {key:?}");
        Failure::permanent("not-configured", message)
    })
}
