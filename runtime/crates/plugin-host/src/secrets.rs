//! A plugin's secrets: where they are, what they are, and that nothing a guest says shows them.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use wasaga_domain::{outcome::ErrorDetail, payload::Payload};

use crate::host::locked;

/// Shorter ones can't be redacted: whatever a guest says would hold them.
const SHORTEST: usize = 4;
/// How long a file that was read counts as unchanged.
const FRESH: Duration = Duration::from_secs(1);
/// Values of one secret, the older ones of a changed file included, that are redacted.
const KEPT: usize = 4;

/// Where a secret is: `{ env = "NAME" }` or `{ file = "PATH" }`. It prints without it.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// What this environment variable holds.
    Env(String),
    /// What this file holds, without the end of its last line.
    File(PathBuf),
    /// The secret itself: never of a configuration.
    Given(String),
}

impl SecretSource {
    /// The secret, or a sentence about why there is none that can be used.
    pub(crate) fn read(&self) -> Result<String, String> {
        let secret = match self {
            Self::Env(name) => {
                env::var(name).map_err(|_| format!("the environment has no variable {name}"))?
            }
            Self::File(path) => {
                let read = fs::read_to_string(path);
                read.map_err(|error| format!("{} can't be read: {error}", path.display()))?
            }
            Self::Given(secret) => secret.clone(),
        };
        let secret = secret.trim_end_matches(['\n', '\r']);
        if secret.len() < SHORTEST {
            return Err(format!(
                "it has {} characters, and must have {SHORTEST} or more: a shorter one can't be kept out of logs",
                secret.len()
            ));
        }
        Ok(secret.to_owned())
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Place)
    }
}

/// What a derived one would say of a secret that stands in the configuration would hold it.
struct Place;

impl<'de> Visitor<'de> for Place {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ file = \"…\" } or { env = \"…\" }")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<SecretSource, E> {
        Err(E::custom(
            "it stands in the configuration itself: write { file = \"…\" } or { env = \"…\" }",
        ))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<SecretSource, M::Error> {
        let bad =
            || M::Error::custom("it is found by one of file and env, and in that where it is");
        let Some((kind, place)) = map.next_entry::<String, String>()? else { return Err(bad()) };
        if map.next_key::<String>()?.is_some() {
            return Err(bad());
        }
        match kind.as_str() {
            "env" => Ok(SecretSource::Env(place)),
            "file" => Ok(SecretSource::File(place.into())),
            _ => Err(bad()),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Given(_) => f.write_str("Given"),
        }
    }
}

/// Those of a loaded plugin.
#[derive(Default)]
pub(crate) struct Secrets(BTreeMap<String, Kept>);

struct Kept {
    source: SecretSource,
    read: Mutex<Read>,
}

struct Read {
    /// The current value last.
    values: Vec<String>,
    at: Instant,
}

impl Secrets {
    /// Reads them all.
    pub(crate) fn load<'a>(
        sources: impl Iterator<Item = (&'a String, &'a SecretSource)>,
    ) -> Result<Self, String> {
        let kept = sources.map(|(key, source)| {
            let value = source.read().map_err(|why| format!("secret {key}: {why}"))?;
            let read = Mutex::new(Read { values: vec![value], at: Instant::now() });
            Ok((key.clone(), Kept { source: source.clone(), read }))
        });
        kept.collect::<Result<_, _>>().map(Self)
    }

    /// A secret as it is now: a file is read anew, and where that fails, what it held goes on.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let Kept { source, read } = self.0.get(key)?;
        let mut read = locked(read);
        if matches!(source, SecretSource::File(_)) && read.at.elapsed() > FRESH {
            read.at = Instant::now();
            match source.read() {
                Ok(value) if read.values.last() != Some(&value) => {
                    read.values.push(value);
                    if read.values.len() > KEPT {
                        read.values.remove(0);
                    }
                }
                Ok(_) => {}
                Err(why) => tracing::warn!(key, why, "a secret's file: its last value is kept"),
            }
        }
        read.values.last().cloned()
    }

    /// The text, with stars for what of it is a secret.
    pub(crate) fn redacted(&self, mut text: String) -> String {
        for value in self.values() {
            if text.contains(&value) {
                text = text.replace(&value, "***");
            }
        }
        text
    }

    /// The same for an error, its data included, if that is text.
    pub(crate) fn redacted_detail(&self, detail: ErrorDetail) -> ErrorDetail {
        if self.0.is_empty() {
            return detail;
        }
        let ErrorDetail { code, message, data } = detail;
        let data = data.map(|data| match std::str::from_utf8(&data.data) {
            Ok(text) => {
                let text = self.redacted(text.to_owned());
                Payload::new(data.content_type.into_owned(), text)
            }
            Err(_) => data,
        });
        ErrorDetail { code: self.redacted(code), message: self.redacted(message), data }
    }

    /// All values, and what JSON makes of them; those first that hold others.
    fn values(&self) -> Vec<String> {
        let mut values = Vec::new();
        for kept in self.0.values() {
            for value in &locked(&kept.read).values {
                let quoted = serde_json::to_string(value).expect("a string is JSON");
                values.push(quoted[1..quoted.len() - 1].to_owned());
                values.push(value.clone());
            }
        }
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        values
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[(&str, &str)]) -> Secrets {
        let sources = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), SecretSource::Given((*value).to_owned())));
        let sources: Vec<_> = sources.collect();
        Secrets::load(sources.iter().map(|(key, source)| (key, source))).expect("they are there")
    }

    #[test]
    fn what_is_secret_is_starred() {
        let secrets = secrets(&[("short", "hush"), ("long", "hush-hush"), ("odd", "a\"b\\c")]);
        let text = secrets.redacted("x hush-hush y hush z".into());
        assert_eq!(text, "x *** y *** z");
        let data = Payload::json(r#"{"said":"a\"b\\c"}"#);
        let detail = ErrorDetail { data: Some(data), ..ErrorDetail::new("hush", "is hush") };
        let detail = secrets.redacted_detail(detail);
        assert_eq!((&*detail.code, &*detail.message), ("***", "is ***"));
        assert_eq!(&detail.data.expect("data").data[..], br#"{"said":"***"}"#);
        assert!(!format!("{secrets:?}").contains("hush"));
    }

    #[test]
    fn what_is_missing_or_too_short_is_named() {
        let refused = |source: SecretSource| {
            let key = "api_key".to_owned();
            Secrets::load([(&key, &source)].into_iter()).expect_err("there is none")
        };
        let missing = refused(SecretSource::Env("NO_SUCH_VARIABLE".into()));
        assert_eq!(missing, "secret api_key: the environment has no variable NO_SUCH_VARIABLE");
        assert!(refused(SecretSource::File("no/such/file".into())).contains("can't be read"));
        assert!(refused(SecretSource::Given("abc\n".into())).contains("has 3 characters"));
    }

    #[test]
    fn a_changed_file_is_read_anew_and_its_old_value_stays_secret() {
        let path = env::temp_dir().join(format!("wasaga-secret-{:x}", rand::random::<u64>()));
        fs::write(&path, "first\n").expect("it is written");
        let source = SecretSource::File(path.clone());
        let key = "token".to_owned();
        let secrets = Secrets::load([(&key, &source)].into_iter()).expect("it is there");
        assert_eq!(secrets.get("token").as_deref(), Some("first"));
        fs::write(&path, "second\n").expect("it is written");
        let long_ago = Instant::now().checked_sub(2 * FRESH).expect("the clock runs");
        locked(&secrets.0["token"].read).at = long_ago;
        assert_eq!(secrets.get("token").as_deref(), Some("second"));
        fs::remove_file(&path).expect("it is removed");
        locked(&secrets.0["token"].read).at = long_ago;
        assert_eq!(secrets.get("token").as_deref(), Some("second"));
        assert_eq!(secrets.redacted("first, second".into()), "***, ***");
    }
}
