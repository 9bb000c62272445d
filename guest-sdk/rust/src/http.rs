//! HTTP out, to the hosts that the manifest's `http_hosts` name and the operator grants.
//!
//! ```no_run
//! # use serde_json::json;
//! # use wasaga_guest::{failure::Failure, http};
//! # fn run(token: &str) -> Result<(), Failure> {
//! let charge = http::post("https://api.example.com/charges")
//!     .header("authorization", format!("Bearer {token}"))
//!     .json(&json!({ "cents": 100 }))
//!     .send()?;
//! if !charge.is_success() {
//!     return Err(Failure::permanent("declined", charge.text()));
//! }
//! # Ok(()) }
//! ```
//! The host adds the trace headers and, to what asks for a change, the idempotency key. It follows redirects to granted hosts.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::imports::wasaga::plugin::http::Error;
use crate::{
    bindings::imports::wasaga::plugin::{http, types::Header},
    failure::Failure,
    manifest::millis,
};

/// A request to send.
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request(http::Request);

/// Asks for what is there.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// Asks for a change.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

impl Request {
    /// A request by this method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let (method, url, headers) = (method.into(), url.into(), Vec::new());
        Self(http::Request { method, url, headers, body: None, timeout_ms: None })
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.0.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// The body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = Some(body.into());
        self
    }

    /// The body as JSON, and the header that says so.
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("what is sent as JSON is JSON");
        self.header("content-type", "application/json").body(body)
    }

    /// Wait no longer than this for the answer; by default until the attempt's deadline.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(millis(timeout));
        self
    }

    /// Sends it. `?` makes a failure of an error that says what the host knows: `http-denied` is permanent, `http-not-sent`
    /// retryable, all else unknown.
    pub fn send(self) -> Result<Response, Error> {
        http::send(&self.0).map(|http::Response { status, headers, body }| Response {
            status,
            headers,
            body,
        })
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    headers: Vec<Header>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(&header.value).ok()
    }

    /// The body as text; what is none of it is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. One that is none leaves open what was done, so that it is an unknown failure.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::unknown("http-undecodable", format!("the answer: {error}")))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(why) => Self::permanent("http-denied", why),
            Error::NotSent(why) => Self::retryable("http-not-sent", why),
            Error::MaybeSent(why) => Self::unknown("http-maybe-sent", why),
            Error::TooLarge(bytes) => {
                let key = "plugins.guest_limits.http_response_bytes";
                let what = format!("the answer has more than {bytes} bytes ({key})");
                Self::unknown("http-too-large", what)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_failure_of_what_the_host_knows() {
        assert!(matches!(Failure::from(Error::Denied("x".into())), Failure::Permanent(_)));
        assert!(matches!(Failure::from(Error::NotSent("x".into())), Failure::Retryable(_)));
        assert!(matches!(Failure::from(Error::MaybeSent("x".into())), Failure::Unknown(_)));
        let large = Failure::from(Error::TooLarge(5));
        let told = "the answer has more than 5 bytes (plugins.guest_limits.http_response_bytes)";
        assert_eq!(large.detail().message, told);
    }
}
