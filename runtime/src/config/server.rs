//! `[server]`: the HTTP interface.

use serde::Deserialize;

use super::at_least;

/// The HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// An address of this machine; other machines reach it only if this is not a loopback address.
    pub host: String,
    /// 0 takes a free one, which the log tells.
    pub port: u16,
    /// Bytes of a request's body.
    pub body_limit: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self { host: "127.0.0.1".into(), port: 8080, body_limit: wasaga_api::BODY_LIMIT }
    }
}

impl Server {
    pub(super) fn fault(&self) -> Option<String> {
        at_least("server.body_limit", self.body_limit, 1)
    }
}
