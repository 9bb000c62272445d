//! `cargo xtask demo`: the order saga on embedded defaults. A Postgres of its own (or `DATABASE_URL`), the broker in the
//! host's process (or `KAFKA_BROKERS`), the host, and a customer that posts ten orders and balances the books.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use wasaga_services::{Postgres, PostgresOptions, daemon::Daemon, free_port, process::Signal};

use crate::interrupt::Interrupt;
use crate::workspace::{binary, cargo, exit_code, must, status, target_dir};
use crate::{guests, setup};

/// Variables of this program, which the host would take for keys of its configuration.
const OWN: [&str; 4] = ["WASAGA_RELEASE", "WASAGA_POSTGRES", "WASAGA_PG_BIN", "WASAGA_GUEST_STD"];
/// How long the host may take until it is ready: it compiles the plugins.
const READY: Duration = Duration::from_mins(3);
/// How long the host may take to stop.
const STOP: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub struct Arguments {
    /// Exit after the summary, with 1 when an order did not end as it must or the books don't balance
    #[arg(long)]
    once: bool,
}

pub fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<ExitCode> {
    setup::ensure(setup::BUILD)?;
    let directory = target_dir()?.join("demo");
    let plugins = directory.join("plugins");
    fs::create_dir_all(&plugins)?;
    guests::build_or_take(&guests::ORDER_SAGA, &plugins)?;
    let packages = "build --release --package wasaga --package wasaga-example-order-saga";
    must(&mut cargo(packages.split(' ')), interrupt)?;

    let postgres = match env::var("DATABASE_URL") {
        Ok(_) => None,
        Err(_) => Some(Postgres::start(PostgresOptions::default())?),
    };
    interrupt.check()?;
    let database = match &postgres {
        Some(postgres) => postgres.url(),
        None => env::var("DATABASE_URL")?,
    };
    let host = Host::start(&directory, &plugins, &database, interrupt)?;
    println!("the host is ready: {} (its log: {})\n", host.url, host.log.display());

    let mut customer = Command::new(binary("wasaga-example-order-saga")?);
    customer.args(["--url", &host.url]).env("DATABASE_URL", &database);
    let ended = status(&mut customer, interrupt)?;
    if !arguments.once {
        println!("\nthe host stays up until Ctrl-C: {}", host.url);
        println!("more requests: examples/order-saga/api_examples.http; database: {database}");
        interrupt.wait();
    }
    host.stop()?;
    Ok(exit_code(ended))
}

/// The running host.
struct Host {
    daemon: Daemon,
    url: String,
    log: PathBuf,
}

impl Host {
    fn start(
        directory: &Path,
        plugins: &Path,
        database: &str,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let port = match env::var("SERVER_PORT") {
            Ok(port) => port.parse().context("SERVER_PORT must be a port's number")?,
            Err(_) => free_port()?,
        };
        let log = directory.join("host.log");
        let mut command = Command::new(binary("wasaga")?);
        command
            .arg("run")
            .current_dir(directory)
            .env("DATABASE_URL", database)
            .env("SERVER_PORT", port.to_string())
            .env("WASAGA_PLUGINS__DIR", plugins)
            .env("WASAGA_PLUGINS__GRANT_ALL", "true");
        for name in OWN {
            command.env_remove(name);
        }
        if env::var_os("KAFKA_BROKERS").is_none() {
            command.env("WASAGA_KAFKA__EMBEDDED", "true");
        }
        let daemon = Daemon::spawn(&mut command, &log)?;
        let mut host = Self { daemon, url: format!("http://127.0.0.1:{port}"), log };
        host.wait(port, interrupt)?;
        Ok(host)
    }

    fn wait(&mut self, port: u16, interrupt: &Interrupt) -> Result<()> {
        let end = Instant::now() + READY;
        while !is_ready(port) {
            interrupt.check()?;
            let ended = self.daemon.exit_status()?;
            if ended.is_some() || Instant::now() > end {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(20).collect();
                let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
                bail!("the host did not become ready; the end of {}:\n{tail}", self.log.display());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn stop(self) -> Result<()> {
        self.daemon.stop(Signal::TERM, STOP)
    }
}

/// Whether the order saga can be started: everything is reachable, and its plugins are active.
fn is_ready(port: u16) -> bool {
    let get = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1).is_some_and(|code| code == "200").then_some(answer)
    };
    let plugins = get("/api/v1/plugins").unwrap_or_default();
    let active = |plugin: &str| plugins.contains(&format!("\"{plugin}\""));
    get("/readyz").is_some()
        && guests::ORDER_SAGA
            .into_iter()
            .all(|plugin| plugin.rsplit_once('-').is_some_and(|(name, _)| active(name)))
}
