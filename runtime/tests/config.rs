//! The configuration: the example is the defaults, layers win in order, and what is wrong is named.

use std::{collections::BTreeMap, time::Duration};

use wasaga::config::{Brokers, Config, DatabaseUrl, LogFormat, Migrate};

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
        ("[database]\nmax_connections = 6", "flows.publish_first = 4: each holds a connection"),
        ("[kafka]\nembedded = true\nbrokers = \"a:1\"", "exclude each other"),
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
         [kafka.properties]\nsasl.password = \"hunter2\"\n[registry]\npassword = \"hunter2\"",
    )
    .expect("it parses");
    let printed = format!("{config:?}");
    assert!(!printed.contains("hunter2") && printed.contains("sasl.password"), "{printed}");
    let url = DatabaseUrl::from("postgres://me:hunter2@db:5432/x?password=hunter2");
    assert_eq!(url.to_string(), "postgres://me:***@db:5432/x");
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
