//! Options are checked before anything is connected.

use super::*;

fn options(extra: &[(&str, &str)]) -> Result<ClientOptions, ConfigError> {
    let all = [("bootstrap.servers", "127.0.0.1:1")];
    let all = all.iter().chain(extra);
    ClientOptions::new(all.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

#[test]
fn options_reach_the_side_they_name() {
    let options = options(&[
        ("compression.type", "lz4"),
        ("producer.linger.ms", "7"),
        ("consumer.fetch.min.bytes", "9"),
    ])
    .expect("all of them exist");
    let producer = options.producer(Duration::from_secs(10)).expect("a fit");
    assert_eq!(producer.get("compression.type"), Some("lz4"));
    assert_eq!(producer.get("linger.ms"), Some("7"));
    assert_eq!(producer.get("fetch.min.bytes"), None);
    assert_eq!(producer.get("message.timeout.ms"), Some("7000"));
    assert_eq!(producer.get("enable.idempotence"), Some("true"));
    let consumer = options.consumer("g");
    assert_eq!(consumer.get("fetch.min.bytes"), Some("9"));
    assert_eq!(consumer.get("enable.auto.commit"), Some("false"));
}

#[test]
fn what_would_break_a_promise_is_named() {
    for (key, value) in [
        ("enable.auto.commit", "true"),
        ("producer.acks", "1"),
        ("request.required.acks", "0"),
        ("enable.idempotence", "false"),
        ("consumer.group.id", "mine"),
        ("transactional.id", "mine"),
    ] {
        let error = options(&[(key, value)]).expect_err(key).to_string();
        assert!(error.contains(key), "{error}");
    }
    assert!(options(&[("acks", "-1"), ("enable.auto.commit", "false")]).is_ok());
}

#[test]
fn an_unknown_option_is_named_as_it_was_written() {
    let error = options(&[("producer.lingr.ms", "1")]).expect_err("a typing error");
    assert!(error.to_string().contains("producer.lingr.ms"), "{error}");
    assert_eq!(ClientOptions::new(BTreeMap::new()).expect_err("empty"), ConfigError::NoBroker);
}

#[test]
fn secrets_are_not_printed() {
    let error = options(&[("consumer.sasl.pasword", "hush")]).expect_err("a typing error");
    let error = error.to_string();
    assert!(error.contains("consumer.sasl.pasword") && !error.contains("hush"), "{error}");
    let source = TokenSource::Endpoint {
        url: "https://id.example.com".into(),
        client_id: "wasaga".into(),
        client_secret: "hush".into(),
        scope: None,
        certificates: None,
    };
    let options = options(&[("sasl.password", "hush")]).expect("it exists").with_tokens(source);
    let debug = format!("{options:?}");
    assert!(!debug.contains("hush") && debug.contains("sasl.password"), "{debug}");
}

#[test]
fn an_unknown_topic_is_told_before_a_record_times_out() {
    let told = |config: ClientConfig| {
        let ms = |key| config.get(key).and_then(|ms| ms.parse::<u64>().ok()).expect(key);
        (ms("topic.metadata.propagation.max.ms"), ms("message.timeout.ms"))
    };
    let relay = |lease, given: &[(&str, &str)]| {
        let options = options(given).expect("they fit");
        told(options.producer(Duration::from_millis(lease)).expect("it fits"))
    };
    assert_eq!(relay(10_000, &[]), (3_000, 7_000));
    assert_eq!(relay(2_000, &[]), (200, 1_400));
    assert_eq!(relay(1_000, &[]), (0, 700));
    assert_eq!(relay(10_000, &[("producer.message.timeout.ms", "5000")]), (2_000, 5_000));
    let given = ("producer.topic.metadata.propagation.max.ms", "7");
    assert_eq!(relay(10_000, &[given]), (7, 7_000));
    let publisher =
        |within| told(options(&[]).expect("they fit").publisher(Duration::from_millis(within)));
    assert_eq!((publisher(2_000), publisher(20_000)), ((500, 2_000), (3_000, 20_000)));
}

#[test]
fn no_record_outlives_the_lease() {
    let lease = Duration::from_secs(10);
    let check = |options: &ClientOptions| options.check(lease, Duration::from_secs(2));
    for value in ["10000", "0", "soon"] {
        let error = options(&[("delivery.timeout.ms", value)])
            .and_then(|options| {
                let refused = options.producer(lease).map(|_| ());
                assert_eq!(check(&options), refused);
                refused
            })
            .expect_err(value);
        assert!(error.to_string().contains("delivery.timeout.ms"), "{error}");
    }
    let fits = options(&[("delivery.timeout.ms", "9999")]).expect("it is an option");
    assert_eq!(check(&fits), Ok(()));
}

#[test]
fn either_name_of_an_option_is_heeded() {
    let given = [
        ("queue.buffering.max.ms", "50"),
        ("compression.type", "lz4"),
        ("producer.compression.codec", "zstd"),
    ];
    let options = options(&given).expect("they are options");
    let config = options.producer(Duration::from_secs(10)).expect("it fits");
    let config = config.create_native_config().expect("they are options");
    for (name, value) in [("linger.ms", "50"), ("compression.type", "zstd")] {
        assert_eq!(config.get(name).expect("it has one"), value);
    }
}

#[test]
fn what_librdkafka_refuses_together_is_refused_before_a_run() {
    for (given, says) in [
        (("producer.linger.ms", "2000"), "`linger.ms`"),
        (("consumer.session.timeout.ms", "400000"), "`session.timeout.ms`"),
        (("ssl.ca.location", "no/such/file"), "ssl.ca.location failed"),
    ] {
        let protocol = ("security.protocol", "SSL");
        let error = (options(&[protocol, given]).expect("each is an option"))
            .check(Duration::from_secs(10), Duration::from_secs(2))
            .expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn tokens_come_from_somewhere_and_are_for_somebody() {
    let bearer = ("sasl.mechanism", "OAUTHBEARER");
    let secured = ("security.protocol", "SASL_PLAINTEXT");
    let (plain, user, password) =
        (("sasl.mechanism", "PLAIN"), ("sasl.username", "me"), ("sasl.password", "hush"));
    let unsecure = ("enable.sasl.oauthbearer.unsecure.jwt", "1");
    let check = |given: &[(&str, &str)], has_source: bool| {
        let options = options(given).expect("they are options");
        let source = || TokenSource::File("token".into());
        let options = if has_source { options.with_tokens(source()) } else { options };
        let checked = options.check(Duration::from_secs(10), Duration::from_secs(2));
        checked.map_err(|error| error.to_string())
    };
    let (starved, wasted) = (Err(NO_SOURCE.to_owned()), Err(NO_TAKER.to_owned()));
    for (given, has_source, expected) in [
        (&[][..], false, &Ok(())),
        (&[bearer], false, &Ok(())),
        (&[secured, bearer], true, &Ok(())),
        (
            &[secured, plain, user, password, ("consumer.sasl.mechanisms", "OAUTHBEARER")],
            true,
            &Ok(()),
        ),
        (&[secured, bearer, unsecure], false, &Ok(())),
        (&[secured, bearer], false, &starved),
        (&[secured, bearer, user, password, ("producer.sasl.mechanism", "PLAIN")], false, &starved),
        (&[], true, &wasted),
        (&[bearer], true, &wasted),
        (&[secured, plain, user, password], true, &wasted),
        (&[secured, bearer, unsecure], true, &wasted),
    ] {
        assert_eq!(&check(given, has_source), expected, "{given:?}");
    }
    let distrusted = |pem: &str| {
        let source = TokenSource::Endpoint {
            url: "https://id.example.com".into(),
            client_id: "wasaga".into(),
            client_secret: "hush".into(),
            scope: None,
            certificates: Some(pem.into()),
        };
        let options = options(&[secured, bearer]).expect("they are options").with_tokens(source);
        let checked = options.check(Duration::from_secs(10), Duration::from_secs(2));
        checked.expect_err(pem).to_string()
    };
    assert_eq!(distrusted(""), "kafka.oauth.ca_file: it holds no certificate in PEM");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(distrusted(broken).starts_with("kafka.oauth.ca_file: "), "{}", distrusted(broken));
    // librdkafka's own way to an identity provider is not built in.
    let error = options(&[bearer, ("sasl.oauthbearer.method", "oidc")]).expect_err("no libcurl");
    assert!(error.to_string().contains("sasl.oauthbearer.method"), "{error}");
}
