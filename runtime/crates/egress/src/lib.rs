//! Guests' HTTP requests on their way out: the only code that calls strangers on a plugin's behalf.
//!
//! A name is resolved here, and the connection goes to the very address that was judged: a name that changes its mind between
//! two look-ups gains nothing. Each request has a connection of its own, so that it is known whether anything of it was sent.
//! Proxies of the environment are not used.
//!
//! ```text
//! send -> hop (a request and where it is redirected to) -> connect (resolve, judge, TCP, TLS) -> exchange
//! ```

mod address;
mod connect;
mod exchange;
mod hop;

use std::fmt;

use async_trait::async_trait;
use native_tls::Certificate;
use tokio::time::Instant;
use tokio_native_tls::TlsConnector;
use wasaga_domain::{
    http::{HttpError, HttpReach, HttpRequest, HttpResponse},
    ports::GuestHttp,
};

use crate::hop::{Hop, Next};

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// Sends requests over TCP and TLS, whose certificates the system's roots vouch for, or such as were given.
pub struct Egress {
    tls: TlsConnector,
}

impl Egress {
    /// Fails where the system's TLS can't be set up.
    pub fn new() -> Result<Self, String> {
        Self::with(Vec::new())
    }

    /// Trusts these certificates, in PEM, beside the system's roots. Fails also where there is none among them.
    pub fn trusting(pem: &str) -> Result<Self, String> {
        match Certificate::stack_from_pem(pem.as_bytes()) {
            Ok(certificates) if certificates.is_empty() => {
                Err("it holds no certificate in PEM".into())
            }
            Ok(certificates) => Self::with(certificates),
            Err(error) => Err(format!("it holds a certificate that can't be read: {error}")),
        }
    }

    fn with(certificates: Vec<Certificate>) -> Result<Self, String> {
        let mut tls = native_tls::TlsConnector::builder();
        for certificate in certificates {
            tls.add_root_certificate(certificate);
        }
        let tls = tls.build().map_err(|error| format!("TLS: {error}"))?;
        Ok(Self { tls: tls.into() })
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Egress")
    }
}

#[async_trait]
impl GuestHttp for Egress {
    async fn send(
        &self,
        request: HttpRequest,
        reach: &HttpReach,
    ) -> Result<HttpResponse, HttpError> {
        let until = Instant::now() + request.within;
        let (mut hop, most_bytes) = Hop::first(request);
        // Whether an earlier hop may have done something: then no later one can say that nothing was sent.
        let mut did = false;
        for _ in 0..=MOST_REDIRECTS {
            let doubted = |error| if did { doubted(error) } else { error };
            if !reach.covers(&hop.url) {
                return Err(doubted(HttpError::Denied(hop.not_granted())));
            }
            let answer = self.exchange(&hop, reach.private, until, most_bytes).await;
            let answer = answer.map_err(doubted)?;
            did |= hop.is_unsafe();
            match hop.after(&answer) {
                Next::Answered => return Ok(answer),
                Next::Hop(next) => hop = *next,
                Next::Refused(why) if did => return Err(HttpError::MaybeSent(why)),
                Next::Refused(why) => return Err(HttpError::Denied(why)),
            }
        }
        let why =
            format!("it is redirected more than {MOST_REDIRECTS} times, last to {}", hop.place());
        Err(if did { HttpError::MaybeSent(why) } else { HttpError::Denied(why) })
    }
}

/// An error of a hop after one that may have done something.
fn doubted(error: HttpError) -> HttpError {
    match error {
        HttpError::Denied(why) | HttpError::NotSent(why) => HttpError::MaybeSent(why),
        error => error,
    }
}
