//! Rules that `cargo xtask breaks` breaks at run time, by `WASAGA_BREAK`, to show that tests notice. Not in a release:
//! there every rule is whole.

/// Whether this rule is to be broken.
#[cfg(feature = "testing")]
pub(crate) fn broken(rule: &str) -> bool {
    static BREAK: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    BREAK.get_or_init(|| std::env::var("WASAGA_BREAK").ok()).as_deref() == Some(rule)
}

/// Whether this rule is to be broken.
#[cfg(not(feature = "testing"))]
pub(crate) const fn broken(_: &str) -> bool {
    false
}
