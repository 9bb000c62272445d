//! The configuration: the example is the defaults, layers win in order, and what is wrong is named.

use std::{collections::BTreeMap, time::Duration};

use wasaga::config::{Brokers, Config, DatabaseUrl, LogFormat, Migrate};
use wasaga_domain::retry::RetryPolicy;
use wasaga_kafka::TokenSource;

const EXAMPLE: &str = include_str!("../../wasaga.example.toml");

fn fault(toml: &str) -> String {
    match Config::from_toml(toml) {
        Err(error) => error.to_string(),
        Ok(config) => config.fault().expect("something is wrong"),
    }
}

#[test]
fn the_example_is_the_defaults() {
    assert_eq!(Config::from_toml(EXAMPLE), Ok(Config::default()));
    assert_eq!(Config::default().fault(), None);
}

#[test]
fn what_the_example_shows_in_comments_is_well_formed() {
    let shown = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.split(' ').nth(1) == Some("=") => rest,
        _ => line,
    });
    let config = Config::from_toml(&shown.collect::<Vec<_>>().join("\n")).expect("it parses");
    assert_eq!(config.fault(), None);
    assert!(config.database.url.is_some() && config.plugins.dir.is_some());
    let day = Duration::from_hours(24);
    let retention = config.retention.options().expect("it is on");
    assert_eq!(retention.retirement.keep, 30 * day);
    assert_eq!(retention.archive_keep, Some(365 * day));
    assert_eq!(config.plugins.grants.len(), 1);
    assert!(config.topics.len() == 2 && config.registry.url.is_some());
    assert_eq!(config.kafka.properties.0["security.protocol"], "SASL_SSL");
    let step = &config.definitions["order"].steps["process_payment"];
    assert!(step.retry.is_some() && step.undo_retry.is_some());
}

#[test]
fn each_flow_has_its_own_limits() {
    let config = Config::from_toml(
        "[flows]\nin = 1\nin_per_plugin = 2\nhandle_out = 3\nhandle_out_per_plugin = 4\ndead_in = 5\n\
         dead_in_per_plugin = 6\ndead_out = 7\ndead_out_per_plugin = 8\nout = 9\npublish_first = 10\n\
         publish_first_ms = 111\nin_timeout_ms = 12\nearly_reply_ttl_ms = 13\nretention_ms = 14\n\
         dead_letter_retention_ms = 15\nin_retention_ms = 24\nin_waiting = 25\nin_record_bytes = 26\n\
         in_retry = { fixed = { delay_ms = 16 } }\nhandle_out_retry = { fixed = { delay_ms = 17 } }\n\
         dead_retry = { fixed = { delay_ms = 18 } }\nout_retry = { fixed = { delay_ms = 19 } }\n\
         [plugins.some.flows]\nin = 20\nhandle_out = 21\ndead_in = 22\ndead_out = 23\n\
         [plugins.other]\nrecord_http = true",
    )
    .expect("it parses");
    let (inbox, relay, publisher) = (config.inbox(), config.relay(), config.publisher());
    let consumer = config.consumer();
    assert_eq!((consumer.max_waiting, consumer.max_record_bytes), (25, 26));
    let flows = [&inbox.r#in, &inbox.handle_out, &inbox.dead_in, &inbox.dead_out];
    assert_eq!(flows.map(|flow| flow.concurrency), [1, 3, 5, 7]);
    assert_eq!(flows.map(|flow| flow.plugin_concurrency), [2, 4, 6, 8]);
    let fixed = |delay_ms| RetryPolicy::Fixed { delay_ms, max_attempts: None };
    let own = [("some", 20), ("some", 21), ("some", 22), ("some", 23)];
    let own = own.map(|(name, limit)| [(name.parse().expect("a name"), limit)].into());
    assert_eq!(flows.map(|flow| flow.plugin_overrides.clone()), own);
    assert_eq!(flows.map(|flow| flow.retry.clone()), [16, 17, 18, 18].map(fixed));
    assert_eq!((relay.max_messages, relay.retry), (9, fixed(19)));
    assert_eq!((publisher.at_once, publisher.within), (10, Duration::from_millis(111)));
    let ms = [
        inbox.attempt_timeout,
        inbox.early_reply_ttl,
        inbox.retention,
        relay.retention,
        inbox.letter_retention,
    ];
    assert_eq!(ms, [12, 13, 24, 14, 15].map(Duration::from_millis));
}

#[test]
fn unknown_keys_name_the_nearest_one() {
    for (toml, says) in [
        ("[server]\nprot = 1", "unknown key server.prot: did you mean server.port?"),
        ("[sever]\nport = 1", "unknown key sever: did you mean server?"),
        ("[plugins]\npol_ms = 1", "unknown key plugins.pol_ms: did you mean plugins.poll_ms?"),
        ("[plugins.inventory]\ngrants = {}", "did you mean plugins.inventory.grant?"),
        ("[plugins.inventory.grant]\nsqll = true", "did you mean plugins.inventory.grant.sql?"),
        (
            "[definitions.order.steps.pay]\ntimeout = 1",
            "did you mean definitions.order.steps.pay.timeout_ms?",
        ),
        ("[log]\nwhatever = 1", "the keys of [log] are format, filter"),
    ] {
        let fault = fault(toml);
        assert!(fault.contains(says), "{fault}");
    }
}

#[test]
fn bad_values_are_named() {
    for (toml, says) in [
        ("[server]\nport = 70000", "server.port"),
        ("[database]\nmigrate = \"maybe\"", "database.migrate"),
        ("[engine]\nbatch = 0", "engine.batch = 0: must be at least 1"),
        ("[schedules]\ntolerance_ms = 1", "schedules.tolerance_ms = 1: must be at least 2000"),
        ("[retention]\nkeep = \"30\"", "write it as 500ms, 30s, 1h30m or 7d"),
        ("[retention]\ntombstones = \"1s\"", "retention.tombstones: must be at least 1m"),
        ("[retention]\narchive = false\narchive_keep = \"1d\"", "there is no archive"),
        ("[flows]\ndead_in = 0", "flows.dead_in = 0: must be at least 1"),
        ("[plugins.p.flows]\nin = 0", "plugins.p.flows.in = 0: must be at least 1"),
        (
            "[flows]\nin_retry = { fixed = { delay_ms = 1, max_attempts = 0 } }",
            "flows.in_retry: max_attempts must be at least 1",
        ),
        ("[flows]\nin_waiting = 99", "flows.in_waiting = 99: must be 100 to 10000000"),
        (
            "[flows]\nin_record_bytes = 10485761",
            "flows.in_record_bytes = 10485761: must be 1024 to 10485760",
        ),
        (
            "[flows]\nin_retention_ms = 59999",
            "flows.in_retention_ms = 59999: must be at least 60000",
        ),
        ("[flows]\nretention_ms = 59999", "flows.retention_ms = 59999: must be at least 60000"),
        ("[flows]\nearly_reply_ttl_ms = 0", "flows.early_reply_ttl_ms = 0: must be at least 1000"),
        (
            "[flows]\ndead_letter_retention_ms = 999",
            "flows.dead_letter_retention_ms = 999: must be at least 1000",
        ),
        ("[flows]\nout_retry = { fixed = { delay_ms = 0 } }", "flows.out_retry: delay_ms must be"),
        ("[flows]\nout_retry = { never = {} }", "flows.out_retry: never tells no rest"),
        (
            "[flows.out_retry.exponential]\ninitial_ms = 1\nmultiplier = 2.0\nmax_delay_ms = 9\njitter = 0.1",
            "flows.out_retry: jitter must be 0",
        ),
        ("[database]\nmax_connections = 6", "flows.publish_first = 4: each holds a connection"),
        ("[kafka]\nembedded = true\nbrokers = \"a:1\"", "exclude each other"),
        (
            "[kafka.oauth]\ntoken_file = \"t\"\ntoken_url = \"https://id\"",
            "kafka.oauth.token_file and kafka.oauth.token_url exclude each other",
        ),
        ("[kafka.oauth]\nclient_id = \"c\"", "kafka.oauth.token_url is missing"),
        ("[kafka.oauth]\nscope = \"s\"", "kafka.oauth.token_url is missing"),
        (
            "[kafka.oauth]\ntoken_file = \"t\"\nclient_secret = \"s\"",
            "kafka.oauth.token_url is missing",
        ),
        ("[kafka.oauth]\ntoken_url = \"https://id\"", "kafka.oauth.client_id is missing"),
        (
            "[kafka.oauth]\ntoken_url = \"https://id\"\nclient_id = \"c\"",
            "kafka.oauth.client_secret is missing",
        ),
        ("[kafka.oauth]\nclient_secret = 5", "kafka.oauth.client_secret: must be text"),
        ("[kafka.oauth]\nca_file = \"ca.pem\"", "kafka.oauth.token_url is missing"),
        ("[topics.orders]\ncodec = \"xml\"", "topics.orders.codec"),
        ("[topics.orders]\nschema = \"a\"", "missing field `codec`"),
        ("[topics.orders]\ncodec = \"avro\"", "topics.\"orders\".schema is missing"),
        ("[topics.orders]\ncodec = \"json\"\nschema = \"a\"", "topics.\"orders\".schema: JSON"),
        ("[topics.\"o.*\"]\ncodec = \"json\"\nmessage = \"a\"", "topics.\"o.*\".message: it names"),
        ("[topics.\"a*b\"]\ncodec = \"json\"", "topics.\"a*b\": name a topic"),
        ("[topics.o]\ncodec = \"protobuf\"\nschema = \"a\"", "topics.\"o\".message is missing"),
        ("[topics.o]\ncodec = \"protobuf\"\nmessage = \"a\"", "the schema, which is missing"),
        ("[registry]\naccount = \"me\"", "registry.url is missing"),
        ("[registry]\nurl = \"http://r\"\naccount = \"me\"", "registry.password is missing"),
        ("[registry]\nurl = \"http://r\"\npassword = \"p\"", "registry.account is missing"),
        ("[registry]\nca_file = \"ca.pem\"", "registry.url is missing"),
        ("[registry]\npassword = 5", "registry.password: must be text"),
        ("[registry]\npassword.fiel = \"p\"", "file or env"),
        ("[plugins]\nhttp_calls = 0", "plugins.http_calls = 0: must be at least 1"),
        ("[plugins.p.grant]\nhttp_hosts = [\"https://a\"]", "is no host: write api.example.com"),
        ("[plugins.p.grant.secrets]\nkey = { fiel = \"a\" }", "one of file and env"),
        ("[kafka.properties]\nbootstrap.servers = \"a:1\"", "kafka.brokers"),
        ("[kafka.properties]\nlinger.ms = [1]", "linger.ms: must be text, a number or a boolean"),
    ] {
        let fault = fault(toml);
        assert!(fault.contains(says), "{fault}");
    }
}

#[test]
fn options_of_librdkafka_pass_through() {
    let config = Config::from_toml(
        "[kafka.properties]\n\"socket.timeout.ms\" = 6000\nssl.ca.location = \"/ca\"\n\
         [kafka.producer]\nlinger.ms = 5\n[kafka.consumer]\nfetch.wait.max.ms = 7\ncheck.crcs = true",
    )
    .expect("it parses");
    let expected = [
        ("bootstrap.servers", "b:1"),
        ("socket.timeout.ms", "6000"),
        ("ssl.ca.location", "/ca"),
        ("producer.linger.ms", "5"),
        ("consumer.fetch.wait.max.ms", "7"),
        ("consumer.check.crcs", "true"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(config.kafka.properties("b:1").expect("no secret is missing"), expected);
    assert_eq!(config.kafka.broker(), Brokers::Named);
}

#[test]
fn secrets_are_not_printed() {
    let config = Config::from_toml(
        "[database]\nurl = \"postgres://me:hunter2@db:5432/x?password=hunter2\"\n\
         [kafka.properties]\nsasl.password = \"hunter2\"\n[registry]\npassword = \"hunter2\"\n\
         [kafka.oauth]\ntoken_url = \"https://id\"\nclient_id = \"c\"\nclient_secret = \"hunter2\"",
    )
    .expect("it parses");
    let (source, store) = (config.kafka.oauth.source(), config.database.options());
    let printed = format!("{config:?} {source:?} {store:?}");
    assert!(!printed.contains("hunter2") && printed.contains("sasl.password"), "{printed}");
    assert_eq!(printed.matches("https://id").count(), 2, "{printed}");
    for (url, shown) in [
        ("postgres://me:hunter2@db:5432/x?password=hunter2", "postgres://me:***@db:5432/x"),
        ("postgres://me:hunter2#@db:5432/x", "postgres://***"),
        ("host=db password=hunter2", "***"),
    ] {
        assert_eq!(DatabaseUrl::from(url).to_string(), shown);
    }
}

#[test]
fn tokens_come_from_a_file_or_an_endpoint() {
    let source = |toml: &str| {
        let config = Config::from_toml(&format!("[kafka.oauth]\n{toml}")).expect("it parses");
        assert_eq!(config.fault(), None, "{toml}");
        config.kafka.oauth.source().map_err(|error| error.to_string())
    };
    assert_eq!(source(""), Ok(None));
    assert_eq!(source("token_file = \"token\""), Ok(Some(TokenSource::File("token".into()))));
    let client = "token_url = \"https://id\"\nclient_id = \"c\"\n";
    let endpoint = |scope: Option<&str>| TokenSource::Endpoint {
        url: "https://id".into(),
        client_id: "c".into(),
        client_secret: "hush".into(),
        scope: scope.map(str::to_owned),
        certificates: None,
    };
    let given = source(&format!("{client}client_secret = \"hush\"\nscope = \"kafka\""));
    assert_eq!(given, Ok(Some(endpoint(Some("kafka")))));
    let path = std::env::temp_dir().join(format!("wasaga-client-secret-{}", std::process::id()));
    std::fs::write(&path, "hush\n").expect("a file");
    let read = source(&format!("{client}client_secret.file = \"{}\"", path.display()));
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(read, Ok(Some(endpoint(None))));
    let missing = source(&format!("{client}client_secret.file = \"no/such/file\""));
    let missing = missing.expect_err("there is no such file");
    assert!(missing.contains("kafka.oauth.client_secret.file: no/such/file can't be"), "{missing}");
}

#[test]
fn a_plugins_secret_is_neither_given_nor_printed() {
    let given = fault("[plugins.p.grant.secrets]\nkey = \"hunter2\"");
    assert!(given.contains("plugins.p.grant.secrets.key"), "{given}");
    assert!(
        given.contains("stands in the configuration itself") && !given.contains("hunter2"),
        "{given}"
    );
    let granted = |toml: &str| {
        let config = Config::from_toml(toml).expect("it parses");
        config.plugins.granted().map(|_| ()).map_err(|error| error.to_string())
    };
    let missing =
        granted("[plugins.p.grant.compensate.secrets]\nkey = { env = \"NO_SUCH_VARIABLE\" }");
    let told = "configuration: plugins.p.grant.compensate.secrets.key: the environment has no \
                variable NO_SUCH_VARIABLE";
    assert_eq!(missing, Err(told.to_owned()));
    assert_eq!(granted("[plugins.p.grant.secrets]\nkey = { env = \"PATH\" }"), Ok(()));
}

#[test]
fn enums_have_small_letters() {
    let config = Config::from_toml("[database]\nmigrate = \"off\"\n[log]\nformat = \"json\"");
    let config = config.expect("it parses");
    assert_eq!((config.database.migrate, config.log.format), (Migrate::Off, LogFormat::Json));
}
