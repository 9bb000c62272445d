//! Servers for which an authority of the operator's own vouches: those that plugins ask, the schema registry, and an identity
//! provider.

use serde_json::{Value, json};
use wasaga_tests::{Authority, Host, HostOptions, PATIENCE, Registry, World, eventually};

const SCHEMA: &str =
    r#"{"type": "record", "name": "Form", "fields": [{"name": "name", "type": "string"}]}"#;
/// A form by Confluent's serializer: the frame with the schema's number, then a text of three bytes.
const FORM: &str = "AAAAAAEGYWRh";

/// What a plugin makes of a request to the registry, which answers strangers by a 401.
async fn asked_by_a_plugin(host: &Host, key: &str, url: &str) -> Value {
    let ask = json!({"do": "http", "method": "GET", "url": format!("{url}/schemas/ids/1")});
    let saga = host.api.start("probe-http", key, &json!({"steps": {"a": [ask]}})).await;
    host.api.reaches(&saga, "completed").await["outputs"]["a"].clone()
}

/// A message of the topic `forms`, as the API shows it when its schema has come or cannot.
async fn shown(host: &Host) -> Value {
    let form = json!({"topic": "forms", "payload_bytes": FORM});
    let written = host.api.post("/api/v1/events", &form).await;
    let path = format!("/api/v1/events/{}", written.body["id"]);
    eventually("the value is read, or not", PATIENCE, async || {
        let message = host.api.get(&path).await.ok();
        let waits = message["decoded_error"].as_str().is_some_and(|why| why.contains("try again"));
        (!waits).then_some(message)
    })
    .await
}

/// A host that reads forms by the registry at this url, and whose plugin `probe-http` may send requests here.
fn host(world: &World, url: &str) -> HostOptions {
    let (password, token) = (world.file("password", "hush"), world.file("token", "tell-nobody"));
    world
        .host()
        .set("registry.url", json!(url))
        .set("registry.account", "\"reader\"")
        .set("registry.password.file", json!(password))
        .set("topics.forms.codec", "\"avro\"")
        .set("plugins.grant_all", false)
        .set(
            "plugins.probe-http.grant.http_hosts",
            r#"["127.0.0.1:*", "localhost:*", "*.example.com"]"#,
        )
        .set("plugins.probe-http.grant.http_private", true)
        .set("plugins.probe-http.grant.topics", r#"["probe-http.*"]"#)
        .set("plugins.probe-http.grant.config.greeting", "\"hello\"")
        .set("plugins.probe-http.grant.secrets.token.file", json!(token))
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let world = World::embedded(&["probe-http-rust"]).await;
    let mut registry = Registry::new(&[(1, "AVRO", SCHEMA)]);
    registry.start().await;
    let authority = Authority::new();
    let front = authority.before(registry.port()).await;
    let url = format!("https://localhost:{}", front.port);
    let named = json!(world.file("ca.pem", &authority.pem()));

    let strict = host(&world, &url).start().await;
    let output = asked_by_a_plugin(&strict, "strict", &url).await;
    assert!(output.to_string().contains("certificate verify failed"), "{output}");
    let message = shown(&strict).await;
    let why = message["decoded_error"].as_str().unwrap_or_default();
    assert!(why.contains("certificate verify failed"), "{message}");
    assert_eq!(registry.asked(), 0);
    strict.stop(PATIENCE).await;

    let trusting = host(&world, &url).set("plugins.http_ca_file", &named);
    let trusting = trusting.set("registry.ca_file", &named).start().await;
    let output = asked_by_a_plugin(&trusting, "trusting", &url).await;
    assert_eq!(output["status"], 401, "{output}");
    let message = shown(&trusting).await;
    assert_eq!(message["decoded"], json!({"name": "ada"}), "{message}");
}

#[tokio::test]
async fn an_identity_provider_is_trusted_by_an_authority_of_ones_own() {
    let world = World::embedded(&[]).await;
    // It knows of no tokens.
    let mut provider = Registry::new(&[]);
    provider.start().await;
    let authority = Authority::new();
    let front = authority.before(provider.port()).await;
    let host = world
        .host()
        .unset("kafka.embedded")
        .set("kafka.brokers", "\"127.0.0.1:9\"")
        .set("kafka.properties.security.protocol", "\"SASL_PLAINTEXT\"")
        .set("kafka.properties.sasl.mechanism", "\"OAUTHBEARER\"")
        .set("kafka.oauth.token_url", json!(format!("https://localhost:{}/token", front.port)))
        .set("kafka.oauth.client_id", "\"wasaga\"")
        .set("kafka.oauth.client_secret", "\"hush\"");
    host.spawn().logged("certificate verify failed").await;
    let named = json!(world.file("ca.pem", &authority.pem()));
    let trusting = host.set("kafka.oauth.ca_file", named).spawn();
    let refused = trusting.logged("gave no token").await;
    assert!(refused.contains("it answers 404 Not Found") && !refused.contains("hush"), "{refused}");
}
