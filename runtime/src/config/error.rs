//! What is wrong with a configuration: the key, where it was set, and the key that may have been meant.

use std::{fmt, path::Path};

use figment::{
    Metadata,
    error::{Error, Kind},
};

/// A wrong configuration, in a line for each fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<String>,
}

impl ConfigError {
    /// One fault, as a sentence.
    pub fn new(fault: impl Into<String>) -> Self {
        Self { faults: vec![fault.into()] }
    }

    pub(super) fn no_file(file: &Path) -> Self {
        Self::new(format!(
            "{} is not a file that can be read: name another by --config",
            file.display()
        ))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration: {}", self.faults.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl From<Error> for ConfigError {
    fn from(error: Error) -> Self {
        Self { faults: error.into_iter().map(sentence).collect() }
    }
}

fn sentence(error: Error) -> String {
    let (place, mut path) = (place(&error), error.path.clone());
    match &error.kind {
        Kind::UnknownField(field, known) => {
            // Figment's path ends with the key, except where a section reads its keys itself.
            if path.last() != Some(field) {
                path.push(field.clone());
            }
            let section = path[..path.len() - 1].join(".");
            let full = |name: &str| {
                if section.is_empty() { name.into() } else { format!("{section}.{name}") }
            };
            let mend = match nearest(field, known) {
                Some(name) => format!("did you mean {}?", full(name)),
                None if section.is_empty() => format!("the sections are {}", known.join(", ")),
                None => format!("the keys of [{section}] are {}", known.join(", ")),
            };
            format!("unknown key {}{place}: {mend}", path.join("."))
        }
        kind if path.is_empty() => format!("{kind}{place}"),
        kind => format!("{}{place}: {kind}", path.join(".")),
    }
}

/// Where the value was set, as ` (in wasaga.toml)`.
fn place(error: &Error) -> String {
    let Some(metadata) = &error.metadata else {
        return String::new();
    };
    let Metadata { name, source, .. } = metadata;
    match source.as_ref().and_then(|source| source.file_path()) {
        Some(file) => format!(" (in {})", file.display()),
        None if name.contains("environment") && name.contains("WASAGA_") => {
            let variable = error.path.join("__").to_uppercase();
            format!(" (environment variable WASAGA_{variable})")
        }
        None if name.contains("environment") => {
            let variable = match error.path.join(".").as_str() {
                "database.url" => "DATABASE_URL",
                "server.port" => "SERVER_PORT",
                _ => "KAFKA_BROKERS",
            };
            format!(" (environment variable {variable})")
        }
        None => String::new(),
    }
}

/// The nearest name, if not more than half of its letters are others.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|known| (distance(name, known), *known));
    let (distance, known) = distances.min()?;
    (distance * 2 <= known.len()).then_some(known)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
