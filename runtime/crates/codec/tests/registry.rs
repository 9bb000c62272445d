//! Values that name their schemas, and a registry that has them. The bytes are those of confluent-kafka's own serializers.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use wasaga_codec::{Codec, Codecs, Format, RegistryOptions};
use wasaga_domain::value_reader::{Unread, ValueReader as _};

const PATIENCE: Duration = Duration::from_secs(20);

const AVRO: &[u8] = b"\0\0\0\0\x01\x06o-1\xe0\x12\0";
const PROTOBUF: &[u8] = b"\0\0\0\0\x02\x02\x02\x0a\x03o-1\x10\xb0\x09";
const NESTED: &[u8] = b"\0\0\0\0\x02\x04\x02\0\x08\x07";

/// A registry of these answers, by path. What was asked of it is counted.
struct Registry {
    url: String,
    asked: Arc<AtomicUsize>,
    serves: JoinHandle<io::Result<()>>,
}

impl Registry {
    async fn of(answers: &[(&str, Value)]) -> Self {
        let answers: HashMap<String, String> =
            answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.to_string())).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/base/", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let serves = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await?);
                }
                count.fetch_add(1, Ordering::Relaxed);
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let path = path.strip_prefix("/base/");
                // reader:hush
                let may = request.to_lowercase().contains("authorization: basic cmvhzgvyomh1c2g=");
                let (status, body) = match path.map(|path| answers.get(path)) {
                    _ if !may => ("401 Unauthorized", "{}"),
                    Some(Some(answer)) => ("200 OK", answer.as_str()),
                    Some(None) => ("404 Not Found", r#"{"error_code": 40403}"#),
                    None => ("404 Not Found", r#"{"error_code": 404}"#),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await?;
            }
        });
        Self { url, asked, serves }
    }

    fn codecs(&self, password: &str) -> Codecs {
        let account = Some(("reader".to_owned(), password.to_owned()));
        let topics = [
            ("*", Format::Json),
            ("protobuf.*", Format::Protobuf),
            ("avro", Format::Avro),
            ("avro.*", Format::Avro),
            ("avro.not*", Format::Json),
            ("avro.not", Format::Avro),
        ];
        let topics = topics.map(|(topic, format)| (topic.to_owned(), Codec::framed(format)));
        let options = RegistryOptions { url: self.url.clone(), account, certificates: None };
        Codecs::new(topics.into(), Some(options)).expect("the options fit")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

/// What the value holds, when its schema has come.
async fn read(codecs: &Codecs, topic: &str, value: &[u8]) -> Result<Value, Unread> {
    let read = codecs.read_within(topic, value, PATIENCE).await.expect("the topic has a codec")?;
    Ok(serde_json::from_slice(&read).expect("it is JSON"))
}

async fn fault(codecs: &Codecs, topic: &str, value: &[u8]) -> String {
    match read(codecs, topic, value).await {
        Err(Unread::Fault(why)) => why,
        other => panic!("{other:?} is no fault"),
    }
}

async fn shop() -> Registry {
    let order = json!({"type": "record", "name": "Order", "fields": [
        {"name": "order_id", "type": "string"}, {"name": "cents", "type": "Cents"},
        {"name": "note", "type": ["null", "string"]}]});
    let cents =
        json!({"type": "record", "name": "Cents", "fields": [{"name": "amount", "type": "long"}]});
    let file = "syntax = \"proto3\"; package shop; message Noise {} message Order { string order_id = 1; \
        int64 cents = 2; message Line { int32 count = 1; } }";
    Registry::of(&[
        (
            "schemas/ids/1",
            json!({"schema": order.to_string(), "references": [
                {"name": "Cents", "subject": "shop/cents", "version": 3}]}),
        ),
        ("subjects/shop%2Fcents/versions/3", json!({"schema": cents.to_string(), "id": 9})),
        ("schemas/ids/2", json!({"schema": file, "schemaType": "PROTOBUF"})),
        ("schemas/ids/4", json!({"schema": "{", "schemaType": "AVRO"})),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_read_by_the_schema_it_names() {
    let registry = shop().await;
    let codecs = registry.codecs("hush");
    let order = json!({"order_id": "o-1", "cents": {"amount": 1200}, "note": null});
    assert_eq!(read(&codecs, "avro", AVRO).await, Ok(order.clone()));
    assert_eq!(registry.asked.load(Ordering::Relaxed), 2);
    let order = json!({"order_id": "o-1", "cents": "1200"});
    assert_eq!(read(&codecs, "protobuf.orders", PROTOBUF).await, Ok(order));
    assert_eq!(read(&codecs, "protobuf.lines", NESTED).await, Ok(json!({"count": 7})));
    // What is here is not asked for again.
    assert_eq!(registry.asked.load(Ordering::Relaxed), 3);
    assert_eq!(read(&codecs, "other", br#"{"a": 1}"#).await, Ok(json!({"a": 1})));
    assert_eq!(read(&codecs, "other", b"\0\0\0\0\x07[1]").await, Ok(json!([1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_read_says_why() {
    let registry = shop().await;
    let codecs = registry.codecs("hush");
    for (topic, value, why) in [
        ("avro", &b"plain"[..], "it names no schema"),
        ("avro", b"\0\0\0\0\x03x", "the registry has no schemas/ids/3"),
        ("avro", b"\0\0\0\0\x04x", "schema 4: it is no Avro schema"),
        ("avro", b"\0\0\0\0\x01\x06o", "it does not fit its Avro schema"),
        ("other", b"{", "it is no JSON"),
    ] {
        let said = fault(&codecs, topic, value).await;
        assert!(said.contains(why), "{said}");
    }
    let nowhere =
        Codecs::new(vec![("avro".into(), Codec::framed(Format::Avro))], None).expect("a fit");
    let said = fault(&nowhere, "avro", AVRO).await;
    assert!(said.contains("schema 1, and no registry is configured"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_itself_counts_and_then_the_longest_prefix() {
    let registry = shop().await;
    let codecs = registry.codecs("hush");
    for (topic, is_avro) in [
        ("avro", true),
        ("avro.orders", true),
        ("avro.nothing", false),
        ("avro.not", true),
        ("x", false),
    ] {
        let read = codecs.read_within(topic, b"{}", PATIENCE).await.expect("it has a codec");
        assert_eq!(read.is_err(), is_avro, "{topic}: {read:?}");
    }
    let none = Codecs::new(Vec::new(), None).expect("a fit");
    assert_eq!(none.read("avro", AVRO), None);
    assert_eq!(none.read_within("avro", AVRO, PATIENCE).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_asked_again_and_not_all_the_time() {
    let registry = shop().await;
    let codecs = registry.codecs("wrong");
    assert_eq!(codecs.read("avro", AVRO), Some(Err(Unread::OnItsWay)));
    let Err(Unread::Away(why)) = read(&codecs, "avro", AVRO).await else {
        panic!("it lets nobody in")
    };
    assert!(why.contains("401 Unauthorized"), "{why}");
    let (begun, until) = (Instant::now(), Instant::now() + PATIENCE);
    while registry.asked.load(Ordering::Relaxed) < 3 {
        assert!(Instant::now() < until, "it was asked once");
        let read = codecs.read("avro", AVRO);
        assert!(matches!(read, Some(Err(Unread::Away(_) | Unread::OnItsWay))), "{read:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_registry_condemns_nothing() {
    let registry = shop().await;
    let url = registry.url.replace("/base/", "/elsewhere");
    let topics = vec![("avro".to_owned(), Codec::framed(Format::Avro))];
    let account = Some(("reader".to_owned(), "hush".to_owned()));
    let options = RegistryOptions { url, account, certificates: None };
    let codecs = Codecs::new(topics, Some(options)).expect("a fit");
    let unread = read(&codecs, "avro", AVRO).await.expect_err("nothing is there");
    assert!(matches!(&unread, Unread::Away(why) if why.contains("404 Not Found")), "{unread:?}");
}

#[test]
fn where_no_registry_can_be_is_refused() {
    for (url, says) in [
        ("registry:8081", "must begin with http"),
        ("no url", "no URL"),
        ("http://reader:hush@registry:8081", "holds an account"),
        ("http://registry:8081/?a=b", "without a query"),
    ] {
        let registry = RegistryOptions { url: url.into(), account: None, certificates: None };
        let why = Codecs::new(Vec::new(), Some(registry)).expect_err(url);
        assert!(why.contains(says) && !why.contains("hush"), "{why}");
    }
    let account = Some(("reader".to_owned(), "hush".to_owned()));
    let url = "http://registry".to_owned();
    let printed = format!("{:?}", RegistryOptions { url, account, certificates: None });
    assert!(!printed.contains("hush"), "{printed}");
}
