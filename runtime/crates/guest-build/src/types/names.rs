//! Names in code, of names in JSON.

use anyhow::{Result, bail};
use heck::ToUpperCamelCase as _;

/// `GreetingId` of `greeting-id`. What some language can't have in a name is refused, with the place.
pub(super) fn camel(name: &str, at: &str) -> Result<String> {
    let can_be = |c: char| c.is_ascii_graphic() && !"\"'\\,`".contains(c) || c == ' ';
    let camel = name.to_upper_camel_case();
    if camel.is_empty() || !name.chars().all(can_be) {
        bail!("{at}: no name in code can be made of {name:?}: use ASCII letters, digits, - and _");
    }
    Ok(if camel.starts_with(|c: char| c.is_ascii_digit()) { format!("X{camel}") } else { camel })
}

/// The name, with `_` behind it where the language knows it already.
pub(super) fn unless(taken: &str, name: String) -> String {
    if taken.split(' ').any(|word| word == name) { name + "_" } else { name }
}
