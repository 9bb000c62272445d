//! Secrets that are not in the configuration itself: `NAME.file` and `NAME.env` say where NAME is to be found.

use std::{collections::BTreeMap, env, fs, path::Path};

use super::ConfigError;

/// The options with their secrets.
pub(super) fn resolved(
    options: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut resolved = BTreeMap::new();
    for (key, value) in options {
        let (name, value) = if let Some(name) = key.strip_suffix(".file") {
            (name, read(&format!("kafka option {key}"), Path::new(&value))?)
        } else if let Some(name) = key.strip_suffix(".env") {
            let found = env::var(&value).map_err(|_| {
                ConfigError::new(format!(
                    "kafka option {key}: the environment has no variable {value}"
                ))
            })?;
            (name, found)
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
        fs::remove_file(&path).unwrap();
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
