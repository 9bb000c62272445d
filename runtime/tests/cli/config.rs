//! `wasaga config check`, and how a wrong configuration ends a run.

use crate::wasaga::Wasaga;

#[test]
fn the_environment_wins_over_the_file() {
    let wasaga = Wasaga::new()
        .file("wasaga.toml", "[server]\nhost = \"0.0.0.0\"\nport = 1\n[kafka]\nembedded = true")
        .set("WASAGA_SERVER__HOST", "127.0.0.1")
        .set("WASAGA_SERVER__PORT", "2")
        .set("SERVER_PORT", "3")
        .set("DATABASE_URL", "postgres://me:hunter2@db/x");
    let checked = wasaga.run(&["config", "check"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("127.0.0.1:3"), "{}", checked.stdout);
    assert!(checked.stdout.contains("postgres://me:***@db/x"), "{}", checked.stdout);
    assert!(!checked.stdout.contains("hunter2"));
}

#[test]
fn the_environment_wins_over_the_file_whichever_way_it_says_it() {
    let given = "url = \"postgres://of-toml/x\"";
    let named = "url_file = \"of-toml\"";
    let shown = |database: &str, variables: &[(&str, &str)]| {
        let toml = format!("[database]\n{database}\n[kafka]\nenabled = false");
        let wasaga = Wasaga::new().file("wasaga.toml", &toml);
        let wasaga = wasaga.file("of-toml", "postgres://of-toml-file/x\n");
        let wasaga = wasaga.file("of-environment", "postgres://of-environment-file/x\n");
        let set = |wasaga: Wasaga, (name, value): &(&str, &str)| wasaga.set(name, value);
        variables.iter().fold(wasaga, set).run(&["config", "check"])
    };
    let (url, file) =
        (("DATABASE_URL", "postgres://of-environment/x"), ("DATABASE_URL_FILE", "of-environment"));
    let own = ("WASAGA_DATABASE__URL_FILE", "of-environment");
    for (database, variables, told) in [
        (named, &[][..], "postgres://of-toml-file/x"),
        (named, &[url], "postgres://of-environment/x"),
        (given, &[file], "postgres://of-environment-file/x"),
        (given, &[own], "postgres://of-environment-file/x"),
        (named, &[url, own], "postgres://of-environment/x"),
    ] {
        let checked = shown(database, variables);
        assert!(
            checked.stdout.contains(told),
            "{variables:?}: {}{}",
            checked.stdout,
            checked.stderr
        );
    }
    let both = format!("{given}\n{named}");
    for (database, variables) in [(both.as_str(), &[][..]), (named, &[url, file])] {
        let refused = shown(database, variables);
        assert_eq!(refused.code, Some(2));
        let says = "database.url and database.url_file exclude each other: remove one";
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
}

#[test]
fn a_plugins_secrets_are_read_and_printed_by_nothing() {
    let toml = "[kafka]\nembedded = true\n[plugins.p.grant.secrets]\nkey = { file = \"key\" }";
    let check = |secret: &str| {
        let wasaga = Wasaga::new().file("wasaga.toml", toml).file("key", secret);
        wasaga.set("DATABASE_URL", "postgres://db/x").run(&["config", "check"])
    };
    let checked = check("hunter2\n");
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let short = check("hun\n");
    let says = "plugins.p.grant.secrets.key: it has 3 characters, and must have 4 or more";
    assert!(short.code == Some(2) && short.stderr.contains(says), "{}", short.stderr);
    assert!(![checked.stdout, checked.stderr].concat().contains("hunter2"));
    let asks =
        Wasaga::new().file("wasaga.toml", &toml.replace("embedded = true", "enabled = false"));
    let missing = asks.set("DATABASE_URL", "postgres://db/x").run(&["config", "check"]);
    assert!(missing.stderr.contains("secrets.key: key can't be read"), "{}", missing.stderr);
}

#[test]
fn what_is_wrong_is_one_line_with_its_place() {
    let url = ("DATABASE_URL", "postgres://db/x");
    for (toml, variable, says) in [
        (
            "[server]\nprot = 1",
            url,
            "unknown key server.prot (in wasaga.toml): did you mean server.port?",
        ),
        ("", ("WASAGA_SERVER__PROT", "1"), "environment variable WASAGA_SERVER__PROT"),
        ("", ("WASAGA_SERVER_PORT", "1"), "unknown key server_port"),
        ("", ("SERVER_PORT", "many"), "server.port (environment variable SERVER_PORT)"),
        ("[server", url, "wasaga.toml"),
        ("", ("WASAGA_KAFKA__EMBEDDED", "true"), "database.url is missing"),
        ("", url, "kafka.brokers is missing"),
        ("[kafka]\nbrokers = \"a:1\"\n[kafka.producer]\nlingr.ms = 5", url, "producer.lingr.ms"),
        (
            "[kafka]\nembedded = true\n[kafka.properties]\ndelivery.timeout.ms = 10000",
            url,
            "delivery.timeout.ms = 10000: wasaga needs 1 to 9999 (ms) here",
        ),
        (
            "[kafka]\nbrokers = \"a:1\"\n[kafka.oauth]\ntoken_file = \"t\"",
            url,
            "kafka.oauth gives tokens that no client takes: set sasl.mechanism = OAUTHBEARER",
        ),
        (
            "[kafka]\nbrokers = \"a:1\"\n[kafka.properties]\nsasl.mechanism = \"OAUTHBEARER\"\n\
             security.protocol = \"SASL_SSL\"",
            url,
            "takes a token: set kafka.oauth.token_file or kafka.oauth.token_url",
        ),
    ] {
        let wasaga = Wasaga::new().file("wasaga.toml", toml).set(variable.0, variable.1);
        let ended = wasaga.run(&["config", "check"]);
        assert_eq!(ended.code, Some(2), "{says}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("wasaga: configuration: "), "{}", ended.stderr);
    }
    for (toml, says) in [
        ("[registry]\nurl = \"registry:8081\"", "registry.url: it must begin with http"),
        ("[registry]\nurl = \"http://me:hunter2@r\"", "registry.url: it holds an account"),
        (
            "[registry]\nurl = \"http://r\"\naccount = \"me\"\npassword.env = \"NOWHERE\"",
            "registry.password.env: the environment has no variable NOWHERE",
        ),
        (
            "[registry]\nurl = \"http://r\"\naccount = \"me\"\npassword.file = \"nowhere\"",
            "registry.password.file: nowhere can't be read",
        ),
        (
            "[registry]\nurl = \"https://r\"\nca_file = \"nowhere\"",
            "registry.ca_file: nowhere can't be read",
        ),
        (
            "[registry]\nurl = \"https://r\"\nca_file = \"wasaga.toml\"",
            "registry.ca_file: it holds no certificate in PEM",
        ),
        ("[plugins]\nhttp_ca_file = \"nowhere\"", "plugins.http_ca_file: nowhere can't be read"),
        (
            "[plugins]\nhttp_ca_file = \"wasaga.toml\"",
            "plugins.http_ca_file: it holds no certificate in PEM",
        ),
        (
            "[topics.orders]\ncodec = \"avro\"\nschema = \"order.avsc\"",
            "topics.\"orders\".schema = \"order.avsc\": it can't be read",
        ),
        ("[topics.orders]\ncodec = \"avro\"\nschema = \"wasaga.toml\"", "it is no Avro schema"),
        (
            "[topics.o]\ncodec = \"protobuf\"\nschema = \"o.proto\"\nmessage = \"shop.Invoice\"",
            "topics.\"o\".schema = \"o.proto\": it has no message shop.Invoice",
        ),
    ] {
        let wasaga = Wasaga::new()
            .file("wasaga.toml", &format!("[kafka]\nembedded = true\n{toml}"))
            .file("o.proto", "syntax = \"proto3\"; package shop; message Order {}")
            .set("DATABASE_URL", url.1);
        let ended = wasaga.run(&["config", "check"]);
        assert_eq!(ended.code, Some(2), "{says}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
    let ended = Wasaga::new().run(&["--config", "nowhere.toml", "config", "check"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("nowhere.toml"), "{}", ended.stderr);
}

#[test]
fn a_run_refuses_what_the_check_refuses() {
    let toml = "[kafka]\nbrokers = \"a:1\"\n[engine]\nlease_ms = 2000\n\
                [kafka.producer]\nmessage.timeout.ms = 2000";
    let wasaga = Wasaga::new()
        .file("wasaga.toml", toml)
        .set("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .set("SERVER_PORT", "0");
    let says = "configuration: kafka option producer.message.timeout.ms = 2000: wasaga needs 1 to 1999 (ms) here, \
                as a record must not outlive the host's lease; remove the option";
    for command in [&["config", "check"][..], &["run"]] {
        let ended = wasaga.run(command);
        // Not 1: no database was waited for.
        assert_eq!(ended.code, Some(2), "{command:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{command:?}: {}", ended.stderr);
    }
}
