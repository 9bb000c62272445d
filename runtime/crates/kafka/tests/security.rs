//! TLS, accounts and bearer tokens, on the real broker's second port.

mod support;

use std::{env, fs, io, path::PathBuf};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use support::{
    World, broker, read,
    secured::{scram, secured},
    topic,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use wasaga_kafka::{ClientOptions, RelayOptions, TokenSource};

/// A message on its way through these clients' relay comes out at the plain port.
async fn publishes(options: ClientOptions, name: &str) {
    let mut world = World::new().await;
    let topic = topic(name);
    let value = format!("{name} ").repeat(100);
    world.emit(&topic, "'k'", &format!("convert_to('{value}', 'UTF8')"), "null").await;
    let relay = world.relay(&options, RelayOptions::default());
    wait_until!("it is published", world.count("task_out where status = 'ready'").await == 1);
    relay.stop().await;
    assert_eq!(read(&broker(), &topic, 1)[0].value, value);
}

/// What the relay says of the broker when nothing can be published.
async fn complaint(options: ClientOptions) -> String {
    let mut world = World::new().await;
    world.emit("nowhere", "'k'", "''", "null").await;
    let relay = world.relay(&options, RelayOptions::default());
    wait_until!("it complains", world.health.state().last_error.is_some());
    relay.stop().await;
    assert_eq!(world.count("task_out where status = 'wait' and attempts = 0").await, 1);
    world.health.state().last_error.expect("it complained")
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_over_tls_with_zstd() {
    publishes(scram("a-password", &[("compression.type", "zstd")]), "scram").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_not_printed() {
    let said = complaint(scram("a-wrong-password", &[])).await;
    assert!(said.to_lowercase().contains("authentication fail"), "{said}");
    assert!(!said.contains("a-wrong-password"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_signed_is_said() {
    let said = complaint(scram("a-password", &[("ssl.ca.location", "probe")])).await;
    assert!(said.contains("certificate verify failed"), "{said}");
}

/// Bearer tokens that the broker of the tests believes: unsigned ones.
fn token(expires_in: i64) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs() as i64;
    let claims = serde_json::json!({ "sub": "wasaga", "iat": now, "exp": now + expires_in });
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims.to_string()))
}

fn bearer(source: TokenSource) -> ClientOptions {
    secured(&[("sasl.mechanism", "OAUTHBEARER")]).with_tokens(source)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_file() {
    let path: PathBuf = env::temp_dir().join(topic("wasaga-token"));
    fs::write(&path, format!("{}\n", token(600))).expect("a file");
    publishes(bearer(TokenSource::File(path.clone())), "token-file").await;
    fs::write(&path, "no token").expect("a file");
    let said = complaint(bearer(TokenSource::File(path.clone()))).await;
    assert!(said.contains("holds no JWT with an exp claim"), "{said}");
    fs::remove_file(&path).expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_want_a_token_and_name_no_source() {
    let said = complaint(secured(&[("sasl.mechanism", "OAUTHBEARER")])).await;
    assert!(said.contains("set kafka.oauth.token_file or kafka.oauth.token_url"), "{said}");
}

/// An identity provider that gives a token to whoever knows the secret; where it is.
async fn provider() -> (String, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    let account = format!("Basic {}", STANDARD.encode("wasaga:hush"));
    let serve = async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            let mut asked = String::new();
            while !asked.contains("grant_type=client_credentials") {
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).await?;
                if read == 0 {
                    break;
                }
                asked.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
            let knows = asked.contains(&account) && asked.contains("scope=kafka");
            let (status, body) = if knows {
                ("200 OK", serde_json::json!({ "access_token": token(600), "expires_in": 600 }))
            } else {
                ("401 Unauthorized", serde_json::json!({ "error": "invalid_client" }))
            };
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await?;
        }
    };
    (url, tokio::spawn(serve))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_an_identity_provider() {
    let (url, provider) = provider().await;
    let source = |secret: &str| TokenSource::Endpoint {
        url: url.clone(),
        client_id: "wasaga".into(),
        client_secret: secret.into(),
        scope: Some("kafka".into()),
        certificates: None,
    };
    publishes(bearer(source("hush")), "token-url").await;
    let said = complaint(bearer(source("wrong"))).await;
    assert!(said.contains("401 Unauthorized") && !said.contains("wrong"), "{said}");
    provider.abort();
}
