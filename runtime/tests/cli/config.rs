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
    ] {
        let wasaga = Wasaga::new().file("wasaga.toml", toml).set(variable.0, variable.1);
        let ended = wasaga.run(&["config", "check"]);
        assert_eq!(ended.code, Some(2), "{says}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("wasaga: configuration: "), "{}", ended.stderr);
    }
    let ended = Wasaga::new().run(&["--config", "nowhere.toml", "config", "check"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("nowhere.toml"), "{}", ended.stderr);
}
