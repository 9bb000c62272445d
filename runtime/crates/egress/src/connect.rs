//! A connection to a host that was judged. Whatever goes wrong here, nothing was sent.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use url::{Host, Url};
use wasaga_domain::http::HttpError;

use crate::{
    Egress,
    address::{Place, place},
};

/// Headers of an answer, and bytes of all of them.
const MOST_HEADERS: usize = 100;
const MOST_HEADER_BYTES: usize = 64 << 10;

impl Egress {
    pub(crate) async fn connect(
        &self,
        url: &Url,
        private: bool,
    ) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let name = url.host_str().unwrap_or_default();
        let at = |what: &dyn std::fmt::Display| HttpError::NotSent(format!("{name}: {what}"));
        let mut failed = at(&"it has no address");
        for address in judged(name, addresses(url).await.map_err(|error| at(&error))?, private)? {
            match TcpStream::connect(address).await {
                Ok(stream) if url.scheme() == "https" => {
                    let stream = self.tls.connect(name.trim_matches(['[', ']']), stream).await;
                    return handshake(stream.map_err(|error| at(&format!("TLS: {error}")))?)
                        .await
                        .map_err(|error| at(&error));
                }
                Ok(stream) => return handshake(stream).await.map_err(|error| at(&error)),
                Err(error) => failed = at(&format!("{address}: {error}")),
            }
        }
        Err(failed)
    }
}

async fn addresses(url: &Url) -> std::io::Result<Vec<SocketAddr>> {
    let port = url.port_or_known_default().unwrap_or_default();
    Ok(match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => lookup_host((name, port)).await?.collect(),
        None => Vec::new(),
    })
}

/// Those that may be reached, or why none may.
fn judged(name: &str, all: Vec<SocketAddr>, private: bool) -> Result<Vec<SocketAddr>, HttpError> {
    let may = |address: IpAddr| match place(address) {
        Place::Public => true,
        Place::Private => private,
        Place::Nowhere => false,
    };
    let refused = all.iter().map(SocketAddr::ip).find(|address| !may(*address));
    let allowed: Vec<_> = all.into_iter().filter(|address| may(address.ip())).collect();
    match refused.filter(|_| allowed.is_empty()) {
        None => Ok(allowed),
        Some(address) => Err(HttpError::Denied(match place(address) {
            Place::Nowhere => {
                format!("{name} is at {address}, which is no host's address: it can't be granted")
            }
            _ => format!(
                "{name} is at {address}, a private address: grant http_private = true where that is meant"
            ),
        })),
    }
}

async fn handshake<S>(stream: S) -> hyper::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new()
        .max_headers(MOST_HEADERS)
        .max_header_size(MOST_HEADER_BYTES)
        .handshake(TokioIo::new(stream))
        .await?;
    // It ends with the sender and the answer's body; what goes wrong, they are told.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(addresses: &[&str], private: bool) -> Result<usize, String> {
        let all =
            addresses.iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 80));
        judged("h", all.collect(), private)
            .map(|left| left.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_with_private_addresses_is_reached_at_the_others() {
        assert_eq!(judge(&["10.0.0.1", "1.1.1.1"], false), Ok(1));
        assert_eq!(judge(&["10.0.0.1", "1.1.1.1"], true), Ok(2));
        assert_eq!(judge(&["169.254.169.254", "::1"], true), Ok(1));
        let refused = judge(&["10.0.0.1"], false).expect_err("it is private");
        assert_eq!(
            refused,
            "h is at 10.0.0.1, a private address: grant http_private = true where that is meant"
        );
        let refused = judge(&["169.254.169.254"], true).expect_err("it is link-local");
        assert!(refused.contains("can't be granted"), "{refused}");
    }
}
