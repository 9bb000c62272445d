//! The schema registry, as Confluent's HTTP interface has it: <https://docs.confluent.io/platform/current/schema-registry/develop/api.html>.

use std::{collections::BTreeMap, error::Error as _, fmt, time::Duration};

use serde::Deserialize;

use crate::schema::{References, Schema};

/// How long it may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Schemas that one schema may refer to, directly and through others.
const MOST_REFERENCES: usize = 200;

/// Where the registry is.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryOptions {
    /// `https://host:port`, with a path where it has one.
    pub url: String,
    /// Name and password; the password is printed nowhere.
    pub account: Option<(String, String)>,
    /// Certificates, in PEM, that are trusted beside the system's.
    pub certificates: Option<String>,
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryOptions").field("url", &self.url).finish_non_exhaustive()
    }
}

impl RegistryOptions {
    fn url_fault(&self) -> Option<String> {
        let url = match reqwest::Url::parse(&self.url) {
            Ok(url) => url,
            Err(error) => return Some(format!("it is no URL: {error}")),
        };
        let fault = if !["http", "https"].contains(&url.scheme()) {
            "it must begin with http:// or https://"
        } else if !url.username().is_empty() || url.password().is_some() {
            "it holds an account: give registry.account and registry.password"
        } else if url.query().is_some() || url.fragment().is_some() {
            "it must end with its host, port or path, without a query"
        } else {
            return None;
        };
        Some(fault.to_owned())
    }
}

/// Why there is no schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The registry does not answer as it should: it may later.
    Away(String),
    /// The registry does not have it, or it can't be used.
    Unknown(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: String,
    /// Absent: Avro.
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i32,
}

/// Subject, version or schema not found.
#[derive(Deserialize)]
struct Refusal {
    error_code: i32,
}

pub(crate) struct Registry {
    client: reqwest::Client,
    options: RegistryOptions,
}

impl Registry {
    pub(crate) fn new(options: RegistryOptions) -> Result<Self, String> {
        options.url_fault().map_or(Ok(()), |why| Err(format!("url: {why}")))?;
        let mut client = reqwest::Client::builder().timeout(PATIENCE);
        if let Some(pem) = &options.certificates {
            let certificates = certificates(pem).map_err(|why| format!("ca_file: {why}"))?;
            client = client.tls_certs_merge(certificates);
        }
        Ok(Self { client: client.build().map_err(|error| causes(&error))?, options })
    }

    /// The schema of this number, with all that it refers to.
    pub(crate) async fn schema(&self, number: u32) -> Result<Schema, Missing> {
        let answer = self.get(&format!("schemas/ids/{number}")).await?;
        let references = self.references(answer.references).await?;
        let parsed = match answer.schema_type.as_deref() {
            None | Some("AVRO") => Schema::avro(&answer.schema, &references),
            Some("PROTOBUF") => Schema::protobuf(&answer.schema, &references, None),
            Some("JSON") => Ok(Schema::Json),
            Some(other) => {
                Err(format!("its type is {other}, which is none of AVRO, PROTOBUF and JSON"))
            }
        };
        parsed.map_err(|why| Missing::Unknown(format!("schema {number}: {why}")))
    }

    async fn references(&self, direct: Vec<Reference>) -> Result<References, Missing> {
        let (mut found, mut left) = (BTreeMap::new(), direct);
        while let Some(Reference { name, subject, version }) = left.pop() {
            if found.contains_key(&name) {
                continue;
            }
            if found.len() == MOST_REFERENCES {
                let why = format!("a schema refers to more than {MOST_REFERENCES} others");
                return Err(Missing::Unknown(why));
            }
            let answer =
                self.get(&format!("subjects/{}/versions/{version}", escaped(&subject))).await?;
            left.extend(answer.references);
            found.insert(name, answer.schema);
        }
        Ok(found)
    }

    async fn get(&self, what: &str) -> Result<Answer, Missing> {
        let url = format!("{}/{what}", self.options.url.trim_end_matches('/'));
        let mut request = self.client.get(&url);
        if let Some((name, password)) = &self.options.account {
            request = request.basic_auth(name, Some(password));
        }
        let away = |error: reqwest::Error| Missing::Away(format!("{url}: {}", causes(&error)));
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        if status == reqwest::StatusCode::NOT_FOUND {
            return Err(match answer.json().await {
                Ok(Refusal { error_code: 40401..=40403 }) => {
                    Missing::Unknown(format!("the registry has no {what}"))
                }
                // Something else is at this address.
                _ => Missing::Away(format!("{url}: it answers {status}, and not as a registry")),
            });
        }
        if !status.is_success() {
            return Err(Missing::Away(format!("{url}: it answers {status}")));
        }
        answer.json().await.map_err(away)
    }
}

fn certificates(pem: &str) -> Result<Vec<reqwest::Certificate>, String> {
    match reqwest::Certificate::from_pem_bundle(pem.as_bytes()) {
        Ok(certificates) if certificates.is_empty() => Err("it holds no certificate in PEM".into()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("it holds a certificate that can't be read: {}", causes(&error))),
    }
}

/// A subject as a part of a path.
fn escaped(subject: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let part =
        |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    subject.bytes().map(part).collect()
}

/// reqwest says what it did, and only its causes say what went wrong.
fn causes(error: &reqwest::Error) -> String {
    let mut said = String::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        said = if said.is_empty() { next.to_string() } else { format!("{said}: {next}") };
        cause = next.source();
    }
    if said.is_empty() { error.to_string() } else { said }
}
