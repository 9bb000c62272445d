//! The broker's second port: TLS, and clients that have to say who they are.

use std::env;

use wasaga_kafka::ClientOptions;

fn variable(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is missing: run the tests by `cargo xtask test`"))
}

/// Options that lead there; `extra` win.
pub fn secured(extra: &[(&str, &str)]) -> ClientOptions {
    let certificate = variable("WASAGA_TEST_KAFKA_CERTIFICATE");
    let tls = [("security.protocol", "SASL_SSL"), ("ssl.ca.location", certificate.as_str())];
    super::client(&variable("WASAGA_TEST_KAFKA_SECURED"), &[&tls[..], extra].concat())
}

/// The same with the account.
pub fn scram(password: &str, extra: &[(&str, &str)]) -> ClientOptions {
    let account = [
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "wasaga"),
        ("sasl.password", password),
    ];
    secured(&[&account[..], extra].concat())
}
