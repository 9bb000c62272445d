//! What `cargo xtask test` (or `cargo xtask test --keep`) sets.

use std::{env, path::PathBuf};

/// The url of a database from which others can be made.
pub fn postgres() -> String {
    variable("WASAGA_TEST_POSTGRES")
}

/// The bootstrap address of a broker that many tests share.
pub fn kafka() -> String {
    variable("WASAGA_TEST_KAFKA")
}

/// The directory with the built plugins.
pub fn plugins() -> PathBuf {
    variable("WASAGA_TEST_PLUGINS").into()
}

/// The host's binary.
pub fn host() -> PathBuf {
    variable("WASAGA_TEST_HOST").into()
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run the tests by `cargo xtask test`, or take the environment from \
             `cargo xtask test --keep`"
        )
    })
}
