//! Bearer tokens for SASL's OAUTHBEARER: from a file that something else keeps fresh, or from an identity provider by the
//! client credentials grant (RFC 6749, 4.4).

use std::{
    error::Error,
    fmt, fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::client::OAuthToken;
use serde::Deserialize;
use tokio::runtime::Handle;

/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clients that take tokens, and get none.
pub(crate) const NO_SOURCE: &str = "sasl.mechanism = OAUTHBEARER takes a token: \
                                    set kafka.oauth.token_file or kafka.oauth.token_url";

/// Where tokens come from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A file with a JWT that has `exp` and `sub`; read whenever a token is needed.
    File(PathBuf),
    /// An identity provider's token endpoint.
    Endpoint {
        /// `https://…`
        url: String,
        /// The client, which is also the principal where the token is no JWT.
        client_id: String,
        /// The client's secret; printed nowhere.
        client_secret: String,
        /// The `scope` to ask for.
        scope: Option<String>,
        /// Certificates, in PEM, that are trusted beside the system's.
        certificates: Option<String>,
    },
}

impl TokenSource {
    /// Why no token will ever come from it.
    pub(crate) fn fault(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Endpoint { certificates, .. } => http(certificates.as_deref()).err(),
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Endpoint { url, client_id, .. } => f
                .debug_struct("Endpoint")
                .field("url", url)
                .field("client_id", client_id)
                .finish_non_exhaustive(),
        }
    }
}

/// Tokens for one client, which asks from a thread of its own.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) source: Arc<TokenSource>,
    pub(crate) runtime: Handle,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    /// Seconds since 1970.
    exp: Option<f64>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds.
    expires_in: Option<f64>,
}

impl Tokens {
    /// A new token; called by librdkafka when there is none, or the last is nearly over.
    pub(crate) fn token(&self) -> Result<OAuthToken, Box<dyn Error>> {
        match &*self.source {
            TokenSource::File(path) => {
                let place = path.display();
                let token = fs::read_to_string(path).map_err(|error| {
                    format!("kafka.oauth.token_file {place} can't be read: {error}")
                })?;
                let token = token.trim();
                let Some(Claims { sub, exp: Some(exp) }) = claims(token) else {
                    return Err(format!(
                        "kafka.oauth.token_file {place} holds no JWT with an exp claim"
                    )
                    .into());
                };
                Ok(OAuthToken {
                    token: token.to_owned(),
                    principal_name: sub.unwrap_or_default(),
                    lifetime_ms: (exp * 1000.0) as i64,
                })
            }
            TokenSource::Endpoint { url, client_id, client_secret, scope, certificates } => {
                let client = http(certificates.as_deref())?;
                let granted = self
                    .runtime
                    .block_on(grant(&client, url, client_id, client_secret, scope.as_deref()))
                    .map_err(|error| {
                        format!("kafka.oauth.token_url {url} gave no token: {error}")
                    })?;
                let claims = claims(&granted.access_token);
                let (sub, exp) = claims.map_or((None, None), |claims| (claims.sub, claims.exp));
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
                let exp = exp.or_else(|| Some(now + granted.expires_in?)).unwrap_or(now + 300.0);
                Ok(OAuthToken {
                    token: granted.access_token,
                    principal_name: sub.unwrap_or_else(|| client_id.clone()),
                    lifetime_ms: (exp * 1000.0) as i64,
                })
            }
        }
    }
}

/// What a client's context answers librdkafka.
pub(crate) fn token(tokens: Option<&Tokens>) -> Result<OAuthToken, Box<dyn Error>> {
    tokens.ok_or(NO_SOURCE)?.token()
}

/// What asks the provider.
fn http(certificates: Option<&str>) -> Result<reqwest::Client, String> {
    let mut client = reqwest::Client::builder().timeout(PATIENCE);
    if let Some(pem) = certificates {
        let read = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
        let read = read.map_err(causes).and_then(|read| {
            if read.is_empty() {
                Err("it holds no certificate in PEM".to_owned())
            } else {
                Ok(read)
            }
        });
        let read = read.map_err(|why| format!("kafka.oauth.ca_file: {why}"))?;
        client = client.tls_certs_merge(read);
    }
    client.build().map_err(causes)
}

async fn grant(
    client: &reqwest::Client,
    url: &str,
    client_id: &str,
    client_secret: &str,
    scope: Option<&str>,
) -> Result<Granted, String> {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(scope.map(|scope| ("scope", scope)));
    let request = client.post(url).basic_auth(client_id, Some(client_secret)).form(&form);
    let answer = request.send().await.map_err(causes)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("it answers {status}"));
    }
    answer.json().await.map_err(causes)
}

/// reqwest says what it did, and only its causes say what went wrong.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        said = format!("{said}: {next}");
        cause = next.source();
    }
    said
}

/// What a JWT says of itself; the broker checks whether that is so.
fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_without_a_token_is_named() {
        let missing = Arc::new(TokenSource::File("no/such/token".into()));
        let tokens = Tokens { source: missing, runtime: Handle::current() };
        let error = tokens.token().err().expect("there is no such file").to_string();
        assert!(error.contains("kafka.oauth.token_file no/such/token can't be read"), "{error}");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let source = TokenSource::Endpoint {
            url: "https://id.example.com".into(),
            client_id: "wasaga".into(),
            client_secret: "hush".into(),
            scope: None,
            certificates: None,
        };
        assert!(!format!("{source:?}").contains("hush"));
    }
}
