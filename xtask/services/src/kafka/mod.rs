//! A single-node Apache Kafka (`KRaft`) on loopback, from Maven Central; Java 17 or later.
//!
//! `jars` fetches the broker, `config` writes its files, `secured` is its second port.

mod config;
mod jars;
mod secured;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wasaga_guest_build::programs::output_of;

use crate::daemon::Daemon;
use crate::java::require_java;
use crate::net::{free_port, wait_until, wait_until_free};
use crate::process::Signal;
use crate::workdir::WorkDir;

pub use secured::ACCOUNT;

/// A broker that was killed with much in its log takes its time to recover.
const START_PATIENCE: Duration = Duration::from_mins(1);
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// What kafka-server-start.sh and kafka-run-class.sh of Apache Kafka 4 give to its virtual machine.
const AS_SHIPPED: [&str; 7] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];
/// What keeps disk and kernel out of its pauses: else it writes its own statistics into a mapped file, and fetches the pages of its
/// heap as it comes to them.
const UNDISTURBED: [&str; 2] = ["-XX:+PerfDisableSharedMem", "-XX:+AlwaysPreTouch"];

/// How the broker is set up; the default is what the tests use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Partitions of a topic that is made by its first use.
    pub partitions: u32,
    /// The heap, made for a start within seconds; none: memory and collector are those of Kafka's own start script.
    pub heap_mb: Option<u32>,
    /// The client port; none: a free one.
    pub port: Option<u16>,
    /// Further lines of server.properties; they win over all others.
    pub properties: Vec<(String, String)>,
    /// Whether it has a second port, with TLS and accounts.
    pub secured: bool,
    /// Whether its data is in memory: as if it had a disk of its own, and not the one to which Postgres writes.
    pub in_memory: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 4,
            heap_mb: Some(256),
            port: None,
            properties: Vec::new(),
            secured: false,
            in_memory: false,
        }
    }
}

/// A running broker with a cluster id of its own. Dropped, it is stopped and its data removed.
pub struct Kafka {
    libs: PathBuf,
    /// None after `kill9` or `stop`.
    broker: Option<Daemon>,
    port: u16,
    controller_port: u16,
    secured_port: Option<u16>,
    heap_mb: Option<u32>,
    dir: WorkDir,
}

impl Kafka {
    /// Formats a new cluster and starts its broker; returns when it serves clients.
    pub fn start(options: Options) -> Result<Self> {
        require_java()?;
        let libs = jars::fetched()?;
        let dir = if options.in_memory { WorkDir::in_memory } else { WorkDir::create }("kafka")?;
        let port = options.port.map_or_else(free_port, Ok)?;
        let controller_port = free_port()?;
        let secured_port = options.secured.then(free_port).transpose()?;
        let ports =
            config::Ports { client: port, controller: controller_port, secured: secured_port };
        config::write(dir.path(), ports, &options)?;
        let heap_mb = options.heap_mb;
        let mut kafka =
            Self { libs, broker: None, port, controller_port, secured_port, heap_mb, dir };
        kafka.format()?;
        kafka.start_again()?;
        Ok(kafka)
    }

    /// What a client's `bootstrap.servers` wants: `127.0.0.1:PORT`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The second port: `127.0.0.1:PORT`, with TLS, for the account [`ACCOUNT`] by SCRAM-SHA-512, and for unsigned
    /// bearer tokens by OAUTHBEARER; and the file of the certificate to trust.
    pub fn secured(&self) -> Option<(String, PathBuf)> {
        let port = self.secured_port?;
        Some((format!("127.0.0.1:{port}"), self.dir.path().join(secured::CERTIFICATE)))
    }

    /// The broker's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.broker.as_ref().map(Daemon::pid)
    }

    /// SIGKILL: what was not yet flushed by the system's page cache survives, as in a crash of
    /// the broker.
    pub fn kill9(&mut self) -> Result<()> {
        self.broker.take().map_or(Ok(()), Daemon::kill9)
    }

    /// Ordered shutdown; the data stays until this value is dropped.
    pub fn stop(&mut self) -> Result<()> {
        self.broker.take().map_or(Ok(()), |broker| broker.stop(Signal::TERM, STOP_PATIENCE))
    }

    /// Starts after `kill9` or `stop`, on the same data and port.
    pub fn start_again(&mut self) -> Result<()> {
        if self.broker.is_some() {
            bail!("Kafka on port {} runs already", self.port);
        }
        for port in [self.port, self.controller_port].into_iter().chain(self.secured_port) {
            wait_until_free(port, START_PATIENCE)?;
        }
        let log = self.dir.path().join("broker.log");
        let mut command = self.java("kafka.Kafka");
        let mut broker = Daemon::spawn(command.arg(self.properties()), &log)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let ready = wait_until(START_PATIENCE, || {
            if let Some(status) = broker.exit_status()? {
                bail!("Kafka ended at start ({status})");
            }
            Ok(said().contains("Kafka Server started"))
        });
        // Held before the check, so that a broker that is late is stopped by Drop.
        self.broker = Some(broker);
        let ready = ready.with_context(|| complaints(&said()))?;
        if !ready {
            bail!("Kafka was not ready after {START_PATIENCE:?}; {}", complaints(&said()));
        }
        Ok(())
    }

    fn format(&self) -> Result<()> {
        let mut command = self.java("kafka.tools.StorageTool");
        command.args(["format", "--cluster-id", &config::new_cluster_id(), "--config"]);
        command.arg(self.properties());
        if self.secured_port.is_some() {
            command.args(["--add-scram", &secured::scram_account()]);
        }
        output_of(&mut command).map(drop)
    }

    fn properties(&self) -> PathBuf {
        self.dir.path().join(config::PROPERTIES)
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        match self.heap_mb {
            Some(heap) => command
                .arg(format!("-Xmx{heap}m"))
                // Start-up counts here, not the last tenth of throughput.
                .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]),
            None => command.args(AS_SHIPPED).args(UNDISTURBED),
        };
        command
            .arg("-Xshare:auto")
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.dir.path().join(config::LOG4J).display()
            ))
            .arg("-cp")
            .arg(self.libs.join("*"))
            .arg(class);
        command
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Its data goes with it, so nothing is gained by an ordered shutdown.
        let _ = self.kill9();
    }
}

/// The lines of a log that say what went wrong, or else its end.
fn complaints(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let errors: Vec<&str> =
        lines.iter().copied().filter(|l| l.contains(" ERROR ") || l.contains(" FATAL ")).collect();
    let shown = if errors.is_empty() { &lines } else { &errors };
    format!("from its log:\n{}", shown[shown.len().saturating_sub(20)..].join("\n"))
}
