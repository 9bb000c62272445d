//! Secrets that are not in the configuration itself: `NAME.file` and `NAME.env` say where NAME is to be found.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::{Path, PathBuf},
};

use figment::value::Value;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::ConfigError;

/// A secret, or where it is. It is printed by nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// `NAME = "…"`.
    Given(String),
    /// `NAME.file`: what this file holds.
    File(PathBuf),
    /// `NAME.env`: what this environment variable holds.
    Variable(String),
}

impl Secret {
    /// The secret itself; `key` is its name in the configuration.
    pub(super) fn read(&self, key: &str) -> Result<String, ConfigError> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::File(path) => read(&format!("{key}.file"), path),
            Self::Variable(name) => variable(&format!("{key}.env"), name),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Variable(name) => f.debug_tuple("Variable").field(name).finish(),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let place = match <Value as Deserialize>::deserialize(deserializer)? {
            Value::String(_, secret) => return Ok(Self::Given(secret)),
            Value::Dict(_, place) => place,
            _ => return Err(D::Error::custom("must be text: put it into quotes")),
        };
        let mut place = place.into_iter().map(|(name, value)| (name, value.into_string()));
        match (place.next(), place.next()) {
            (Some((name, Some(path))), None) if name == "file" => Ok(Self::File(path.into())),
            (Some((name, Some(variable))), None) if name == "env" => Ok(Self::Variable(variable)),
            _ => Err(D::Error::custom("must be text; or file or env, and in that where it is")),
        }
    }
}

/// The options with their secrets.
pub(super) fn resolved(
    options: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut resolved = BTreeMap::new();
    for (key, value) in options {
        let (name, value) = if let Some(name) = key.strip_suffix(".file") {
            (name, read(&format!("kafka option {key}"), Path::new(&value))?)
        } else if let Some(name) = key.strip_suffix(".env") {
            (name, variable(&format!("kafka option {key}"), &value)?)
        } else {
            (key.as_str(), value)
        };
        if resolved.insert(name.to_owned(), value).is_some() {
            let twice = format!(
                "kafka option {name} is given twice, once as {name}.file or {name}.env: remove one"
            );
            return Err(ConfigError::new(twice));
        }
    }
    Ok(resolved)
}

fn variable(key: &str, name: &str) -> Result<String, ConfigError> {
    env::var(name)
        .map_err(|_| ConfigError::new(format!("{key}: the environment has no variable {name}")))
}

/// What a file holds, without the end of its last line.
pub(super) fn read(key: &str, path: &Path) -> Result<String, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| {
        ConfigError::new(format!("{key}: {} can't be read: {error}", path.display()))
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(all: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
        let all = all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        resolved(all.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_read_from_where_it_is() {
        let path = env::temp_dir().join(format!("wasaga-secret-{}", std::process::id()));
        fs::write(&path, "hush\n").unwrap();
        let file = path.to_str().unwrap();
        let found =
            options(&[("sasl.password.file", file), ("producer.client.id.env", "CARGO_PKG_NAME")]);
        let twice = options(&[("sasl.password.file", file), ("sasl.password", "x")]).unwrap_err();
        let places = [Secret::File(path.clone()), Secret::Variable("CARGO_PKG_NAME".into())];
        let secrets = places.map(|place| place.read("registry.password").unwrap());
        fs::remove_file(&path).unwrap();
        assert_eq!(secrets, ["hush", "wasaga"]);
        let found = found.unwrap();
        assert_eq!((&*found["sasl.password"], &*found["producer.client.id"]), ("hush", "wasaga"));
        assert!(twice.contains("sasl.password is given twice"), "{twice}");
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let error = options(&[("sasl.password.file", "no/such/file")]).unwrap_err();
        assert!(error.contains("sasl.password.file: no/such/file can't be read"), "{error}");
        let error = options(&[("sasl.password.env", "NO_SUCH_VARIABLE")]).unwrap_err();
        assert!(error.contains("no variable NO_SUCH_VARIABLE"), "{error}");
    }
}
