//! `[topics."PATTERN"]`: how the values of a topic are written; `[registry]`: where their schemas are.

use std::{fs, path::PathBuf};

use serde::Deserialize;
use wasaga_codec::{Codec, Codecs, Format, RegistryOptions};

use super::{
    Config, ConfigError,
    secrets::{self, Secret},
};

/// How the values of a topic are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// The codec.
    pub codec: Format,
    /// Holds their schema; absent: each value's frame names its own.
    pub schema: Option<PathBuf>,
    /// The full name of the values' message in a Protobuf schema.
    pub message: Option<String>,
}

/// The schema registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Where it is.
    pub url: Option<String>,
    /// Who asks there.
    pub account: Option<String>,
    /// The account's password.
    pub password: Option<Secret>,
    /// Holds certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

impl Config {
    /// The codecs of all topics, with the schemas that are in files.
    pub fn codecs(&self) -> Result<Codecs, ConfigError> {
        let topics = self.topics.iter();
        let topics =
            topics.map(|(pattern, topic)| Ok((pattern.clone(), topic.codec(&name(pattern))?)));
        let topics = topics.collect::<Result<_, ConfigError>>()?;
        Codecs::new(topics, self.registry.options()?)
            .map_err(|why| ConfigError::new(format!("registry.{why}")))
    }

    pub(super) fn codecs_fault(&self) -> Option<String> {
        let has_registry = self.registry.url.is_some();
        let fault = |(pattern, topic): (&String, &Topic)| {
            Some(format!("{}{}", name(pattern), topic.fault(pattern, has_registry)?))
        };
        self.registry.fault().or_else(|| self.topics.iter().find_map(fault))
    }
}

impl Topic {
    fn fault(&self, pattern: &str, has_registry: bool) -> Option<String> {
        let prefix = pattern.strip_suffix('*').unwrap_or(pattern);
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fault = match (self.codec, &self.schema, &self.message) {
            _ if pattern.is_empty() || pattern.len() > 249 || !prefix.chars().all(legal) => {
                ": name a topic, 1 to 249 of a-z A-Z 0-9 . _ -, or those that begin alike by a * at the end"
            }
            (Format::Json, Some(_), _) => ".schema: JSON is read without one: remove it",
            (Format::Json | Format::Avro, _, Some(_)) => {
                ".message: it names a message of a Protobuf schema: remove it"
            }
            (Format::Protobuf, Some(_), None) => {
                ".message is missing: name the values' message of the schema, as shop.Order"
            }
            (Format::Protobuf, None, Some(_)) => {
                ".message: it names a message of the schema, which is missing; without schema each value's frame \
                 names its own: remove it, or set schema"
            }
            (Format::Avro | Format::Protobuf, None, _) if !has_registry => {
                ".schema is missing: name the file that holds it; or set registry.url, and each value's frame names \
                 its own"
            }
            _ => return None,
        };
        Some(fault.to_owned())
    }

    fn codec(&self, name: &str) -> Result<Codec, ConfigError> {
        let Some(path) = &self.schema else { return Ok(Codec::framed(self.codec)) };
        let fault = |why: String| {
            ConfigError::new(format!("{name}.schema = \"{}\": {why}", path.display()))
        };
        let schema = fs::read_to_string(path)
            .map_err(|error| fault(format!("it can't be read: {error}")))?;
        Codec::of(self.codec, &schema, self.message.as_deref()).map_err(fault)
    }
}

impl Registry {
    fn fault(&self) -> Option<String> {
        let is_named = self.account.is_some() || self.password.is_some() || self.ca_file.is_some();
        let fault = match (&self.url, &self.account, &self.password) {
            (None, ..) if is_named => "url is missing: name the registry",
            (_, Some(_), None) => "password is missing: give it, or password.file or password.env",
            (_, None, Some(_)) => "account is missing: name whose password it is",
            _ => return None,
        };
        Some(format!("registry.{fault}"))
    }

    fn options(&self) -> Result<Option<RegistryOptions>, ConfigError> {
        let Some(url) = self.url.clone() else { return Ok(None) };
        let account = match (&self.account, &self.password) {
            (Some(name), Some(password)) => {
                Some((name.clone(), password.read("registry.password")?))
            }
            _ => None,
        };
        let certificates = self.ca_file.as_deref();
        let certificates = certificates.map(|path| secrets::read("registry.ca_file", path));
        Ok(Some(RegistryOptions { url, account, certificates: certificates.transpose()? }))
    }
}

fn name(pattern: &str) -> String {
    format!("topics.{pattern:?}")
}
