//! One type an id.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The namespace under which saga ids are derived; never to be changed.
const SAGAS: Uuid = Uuid::from_u128(0x7761_7361_6761_4000_8000_7361_6761_6964);

/// One run of a saga definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SagaId(pub Uuid);

impl SagaId {
    /// The id of the saga that `definition` runs for `business_key`: the same each time, so that a start is
    /// idempotent without a second unique index. A UUID of version 8 by SHA-256, which Postgres has without an
    /// extension: `wasaga.saga_id` makes the same.
    pub fn derived(definition: &str, business_key: &str) -> Self {
        let name = format!("{}:{definition}{business_key}", definition.len());
        let hash = Sha256::new_with_prefix(SAGAS.as_bytes()).chain_update(name).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(Uuid::new_v8(bytes))
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One life of a host process: a host that lost its lease goes on under a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub i64);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A task of one of the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub i64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A plugin's name, as its manifest has it: `[a-z][a-z0-9-]*`, at most 40 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(Arc<str>);

/// A name that a plugin may not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "plugin name {0:?}: it must be of a to z, 0 to 9 and -, start with a letter, and have at most 40 characters"
)]
pub struct BadPluginName(String);

impl PluginName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PluginName {
    type Error = BadPluginName;

    fn try_from(name: String) -> Result<Self, BadPluginName> {
        let fits = name.len() <= 40
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if fits { Ok(Self(name.into())) } else { Err(BadPluginName(name)) }
    }
}

impl FromStr for PluginName {
    type Err = BadPluginName;

    fn from_str(name: &str) -> Result<Self, BadPluginName> {
        name.to_owned().try_into()
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 digest of a module's bytes; as text `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// A text that names no module.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no digest: write it as sha256: and 64 hexadecimal digits")]
pub struct BadDigest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let mut bytes = [0; 32];
        let digits = text.strip_prefix("sha256:").unwrap_or_default();
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| BadDigest(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = BadDigest;

    fn try_from(text: String) -> Result<Self, BadDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
