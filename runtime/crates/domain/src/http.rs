//! A guest's HTTP requests, without a client: where they may go, and what may become of them.

mod host_pattern;

use std::time::Duration;

use bytes::Bytes;
use url::Url;

pub use host_pattern::{BadHostPattern, HostPattern};

use crate::{ids::SagaId, message::Header};

/// Methods that change nothing: a request by one of them needs no undo and no idempotency key.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// A request, with the headers that the host sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// In capitals.
    pub method: String,
    /// `http` or `https`, without an account.
    pub url: Url,
    /// In order.
    pub headers: Vec<Header>,
    /// Absent: there is none.
    pub body: Option<Bytes>,
    /// How long all of it may take, redirects included.
    pub within: Duration,
    /// Bytes of the answer's body.
    pub most_bytes: usize,
}

impl HttpRequest {
    /// Whether it asks to change something.
    pub fn is_unsafe(&self) -> bool {
        !is_safe(&self.method)
    }
}

/// Whether requests by this method change nothing.
pub fn is_safe(method: &str) -> bool {
    SAFE.contains(&method)
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// Its status.
    pub status: u16,
    /// In order, as they came.
    pub headers: Vec<Header>,
    /// As it came: what is compressed is not unpacked.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It may not be sent, and was not: a sentence that names what to grant or to mend.
    #[error("{0}")]
    Denied(String),
    /// Certainly not sent.
    #[error("{0}")]
    NotSent(String),
    /// It may have arrived.
    #[error("{0}")]
    MaybeSent(String),
    /// It arrived, and the answer's body has more bytes than this.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// The call of a guest that sent requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpCall {
    /// Its saga.
    pub saga: SagaId,
    /// The idempotency key of its first request that asks for a change: another one for each call of a step but for its
    /// further attempts.
    pub key: String,
    /// The attempt's number, from 1.
    pub attempt: u32,
}

/// A request that was sent, and what came of it, without what only the one who sent it needs: its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpExchange {
    /// In capitals.
    pub method: String,
    /// As it was sent.
    pub url: String,
    /// Absent: there was none.
    pub body: Option<Bytes>,
    /// What came of it.
    pub answer: Result<HttpResponse, HttpError>,
}

/// Where a plugin's requests may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpReach {
    /// A request goes to one of these.
    pub hosts: Vec<HostPattern>,
    /// Addresses of private networks and of this machine, too.
    pub private: bool,
}

impl HttpReach {
    /// Whether a request to this place is granted, as far as its name tells.
    pub fn covers(&self, url: &Url) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(url))
    }
}
