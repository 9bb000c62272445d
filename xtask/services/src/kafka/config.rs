//! The broker's configuration files and its cluster id.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Options, secured};
use crate::net::random_u64;

pub(super) const PROPERTIES: &str = "server.properties";
pub(super) const LOG4J: &str = "log4j2.properties";

/// Everything on the console, which is the broker's log file.
const LOG4J_TEXT: &str = "\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
";

#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) controller: u16,
    pub(super) secured: Option<u16>,
}

pub(super) fn write(dir: &Path, ports: Ports, options: &Options) -> Result<()> {
    let secured = ports.secured.map(|_| secured::properties(dir)).transpose()?;
    let asked = options.properties.iter().map(|(name, value)| format!("{name}={value}\n"));
    let text: String = std::iter::once(properties(dir, ports, options.partitions))
        .chain(secured)
        .chain(asked)
        .collect();
    for (name, text) in [(PROPERTIES, text.as_str()), (LOG4J, LOG4J_TEXT)] {
        let file = dir.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// One node is broker and controller; every internal topic lives with one replica. A broker that
/// was killed may register again when its session is over: a third of the usual wait.
fn properties(dir: &Path, ports: Ports, partitions: u32) -> String {
    let Ports { client, controller, secured } = ports;
    let secured = secured.map(|port| format!(",SECURED://127.0.0.1:{port}")).unwrap_or_default();
    let logs = dir.join("logs");
    let logs = logs.display();
    format!(
        "\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}{secured}
advertised.listeners=PLAINTEXT://127.0.0.1:{client}{secured}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
num.partitions={partitions}
auto.create.topics.enable=true
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"
    )
}

/// A random cluster id as Kafka writes them: 16 bytes in URL-safe base64 without padding.
pub(super) fn new_cluster_id() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // The version bits of a random UUID: never one of Kafka's reserved ids, which are near zero.
    let bits = (u128::from(random_u64()) << 64 | u128::from(random_u64())) & !(0xf000_u128 << 64)
        | (0x4000_u128 << 64);
    // A leading `-` would read as an option. 21 digits hold 126 bits, the 22nd the last two.
    let bits = bits & !(1 << 127);
    let digit = |shift: u32| ALPHABET[(bits >> shift) as usize & 63] as char;
    let last = ALPHABET[(bits as usize & 3) << 4] as char;
    (0..21).map(|index| digit(122 - 6 * index)).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::new_cluster_id;

    #[test]
    fn cluster_ids_are_unique_base64_of_16_bytes() {
        let ids: Vec<String> = (0..100).map(|_| new_cluster_id()).collect();
        for id in &ids {
            assert_eq!(id.len(), 22);
            assert!(id.ends_with(['A', 'Q', 'g', 'w']) && !id.starts_with(['-', '_']), "{id}");
        }
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    }
}
