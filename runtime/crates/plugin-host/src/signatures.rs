//! Who may bring modules, where the operator says so: whoever signs them by minisign under a key that is trusted.
//!
//! A signature is kept beside its module, in the directory and in the database, and each host checks what it takes by the
//! keys of its own configuration.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minisign_verify::{PublicKey, Signature};

/// Public keys of minisign. None: a module needs no signature.
#[derive(Clone, Default)]
pub struct TrustedKeys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    key: PublicKey,
}

impl TrustedKeys {
    /// Keys as minisign prints them, `RW…`; or why one of them is none.
    pub fn parse(keys: &[String]) -> Result<Self, String> {
        let key = |text: &String| {
            let key = PublicKey::from_base64(text.trim()).map_err(|_| {
                format!("{text:?} is no public key of minisign: write the second line of minisign.pub, RW…")
            })?;
            Ok(Key { id: key_id(text).unwrap_or_default(), key })
        };
        keys.iter().map(key).collect::<Result<_, String>>().map(Self)
    }

    /// Whether a module has to be signed.
    pub(crate) fn required(&self) -> bool {
        !self.0.is_empty()
    }

    /// What is wrong with a module's signature, the text of its `.minisig`, if anything is.
    pub fn check(&self, bytes: &[u8], signature: Option<&str>) -> Result<(), String> {
        if !self.required() {
            return Ok(());
        }
        let ids: Vec<_> = self.0.iter().map(|key| key.id.as_str()).collect();
        let sign = format!(
            "sign it by `minisign -Sm FILE.wasm` with the secret key of {}, and put FILE.wasm.minisig beside it",
            ids.join(" or ")
        );
        let Some(text) = signature else {
            return Err(format!(
                "this host takes signed modules only, and it has no signature: {sign}"
            ));
        };
        let decoded = Signature::decode(text)
            .map_err(|_| format!("its signature is none of minisign's: {sign}"))?;
        // The older form signs the file itself, and not its hash: minisign -S makes it no more, but still reads it.
        let verifies = |key: &Key| key.key.verify(bytes, &decoded, true).is_ok();
        if self.0.iter().any(verifies) {
            return Ok(());
        }
        let by = text.lines().nth(1).and_then(key_id).unwrap_or_default();
        Err(if ids.contains(&by.as_str()) {
            format!("its signature by {by} is of another content: {sign}")
        } else {
            format!("it is signed by {by}, which this host does not trust: {sign}")
        })
    }
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// The id of a key, as minisign prints it: of a public key's line, or of a signature's.
fn key_id(line: &str) -> Option<String> {
    let bytes = STANDARD.decode(line.trim()).ok()?;
    let id = u64::from_le_bytes(*bytes.get(2..)?.first_chunk()?);
    Some(format!("{id:016X}"))
}
