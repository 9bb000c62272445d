//! A port with TLS, on which clients have to say who they are: by SCRAM-SHA-512 or by a bearer token.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use wasaga_guest_build::programs::output_of;

/// Name and password of the one account.
pub const ACCOUNT: (&str, &str) = ("wasaga", "a-password");
/// The certificate, which signs itself, as clients trust it.
pub(super) const CERTIFICATE: &str = "certificate.pem";
const KEYS: &str = "keys.p12";
const KEYS_PASSWORD: &str = "keys-password";

/// As Kafka's storage tool takes it.
pub(super) fn scram_account() -> String {
    let (name, password) = ACCOUNT;
    format!("SCRAM-SHA-512=[name={name},password={password}]")
}

/// Makes key and certificate in `dir`; the lines of server.properties.
pub(super) fn properties(dir: &Path) -> Result<String> {
    let keys = dir.join(KEYS);
    let keytool = |arguments: &[&str]| {
        let mut command = Command::new("keytool");
        command.args(arguments).arg("-keystore").arg(&keys).args(["-storepass", KEYS_PASSWORD]);
        command
    };
    output_of(&mut keytool(&[
        "-genkeypair",
        "-alias",
        "broker",
        "-keyalg",
        "EC",
        "-storetype",
        "PKCS12",
        "-validity",
        "3650",
        "-dname",
        "CN=127.0.0.1",
        "-ext",
        "san=ip:127.0.0.1",
    ]))
    .context("keytool, which comes with Java, could not make a key")?;
    output_of(
        keytool(&["-exportcert", "-alias", "broker", "-rfc"])
            .arg("-file")
            .arg(dir.join(CERTIFICATE)),
    )?;
    let module = "org.apache.kafka.common.security";
    Ok(format!(
        "\
ssl.keystore.type=PKCS12
ssl.keystore.location={}
ssl.keystore.password={KEYS_PASSWORD}
listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512,OAUTHBEARER
listener.name.secured.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.secured.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";
",
        keys.display()
    ))
}
