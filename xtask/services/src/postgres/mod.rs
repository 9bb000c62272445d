//! A throwaway Postgres cluster on loopback: real binaries, real fsync.
//!
//! `binaries` finds or fetches the programs.

mod binaries;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wasaga_guest_build::programs::output_of;

use crate::account::Account;
use crate::daemon::Daemon;
use crate::net::{free_port, wait_until, wait_until_free};
use crate::process::{self, Signal};
use crate::workdir::WorkDir;

/// The one role of the cluster: superuser, trusted on loopback.
const USER: &str = "wasaga";
const START_PATIENCE: Duration = Duration::from_mins(1);
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How the server is set up; the default is what the tests use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether commits wait for the disk.
    pub fsync: bool,
    pub max_connections: u32,
    pub shared_buffers_mb: u32,
    /// Further settings of postgresql.conf; they win over all others.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { fsync: true, max_connections: 200, shared_buffers_mb: 256, settings: Vec::new() }
    }
}

/// A running server. Dropped, it is stopped and its data removed.
pub struct Postgres {
    bin_dir: PathBuf,
    /// None after `kill9` or `stop`.
    server: Option<Daemon>,
    port: u16,
    options: Options,
    account: Option<Account>,
    dir: WorkDir,
}

impl Postgres {
    /// Makes a cluster on a free port and starts it; returns when it accepts connections.
    pub fn start(options: Options) -> Result<Self> {
        let account = Account::unprivileged()?;
        let bin_dir = binaries::locate(account.as_ref())?;
        let dir = WorkDir::create("postgres")?;
        let port = free_port()?;
        let mut postgres = Self { bin_dir, server: None, port, options, account, dir };
        postgres.initialize()?;
        postgres.start_again()?;
        Ok(postgres)
    }

    /// URL of the maintenance database, `postgres`.
    pub fn url(&self) -> String {
        self.url_for("postgres")
    }

    /// URL of a database of that name; making it (`create database …`) is the caller's.
    pub fn url_for(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the server's programs are. The packaged archive has no psql and no pgbench.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The postmaster's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Daemon::pid)
    }

    /// CPU time (user and system, seconds) of the server and all its processes since it started.
    pub fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.pid().context("this Postgres does not run")?)
    }

    /// Fast shutdown (running transactions are rolled back), then a start on the same data.
    pub fn restart_fast(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// SIGKILL to all its processes at once: the next start recovers from the WAL.
    pub fn kill9(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Daemon::kill9)
    }

    /// Fast shutdown; the data stays until this value is dropped.
    pub fn stop(&mut self) -> Result<()> {
        // SIGINT is Postgres's word for a fast shutdown.
        self.server.take().map_or(Ok(()), |server| server.stop(Signal::INT, STOP_PATIENCE))
    }

    /// Starts after `kill9` or `stop`, on the same data and port.
    pub fn start_again(&mut self) -> Result<()> {
        if self.server.is_some() {
            bail!("Postgres on port {} runs already", self.port);
        }
        wait_until_free(self.port, START_PATIENCE)?;
        let log = self.dir.path().join("server.log");
        let postmaster_pid = self.data().join("postmaster.pid");
        // A killed server leaves this file, and with it an old "ready".
        if postmaster_pid.exists() {
            fs::remove_file(&postmaster_pid).context("cannot remove postmaster.pid")?;
        }
        let mut server = Daemon::spawn(self.program("postgres").arg("-D").arg(self.data()), &log)?;
        let ready = wait_until(START_PATIENCE, || {
            if let Some(status) = server.exit_status()? {
                bail!("Postgres ended at start ({status})");
            }
            Ok(says_ready(&postmaster_pid))
        });
        // Held before the check, so that a server that is late is stopped by Drop.
        self.server = Some(server);
        if !ready.with_context(|| log_tail(&log))? {
            bail!("Postgres was not ready after {START_PATIENCE:?}; {}", log_tail(&log));
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn initialize(&self) -> Result<()> {
        let data = self.data();
        fs::create_dir(&data).with_context(|| format!("cannot make {}", data.display()))?;
        if let Some(account) = &self.account {
            account.give(&data)?;
        }
        // No sync: an initdb that a power cut interrupts is simply made anew.
        output_of(
            self.program("initdb")
                .args(["--no-sync", "--locale=C", "--encoding=UTF8", "--auth=trust", "-U", USER])
                .arg("-D")
                .arg(&data),
        )?;
        let file = data.join("postgresql.conf");
        let defaults = fs::read_to_string(&file).context("initdb left no postgresql.conf")?;
        fs::write(&file, defaults + &self.settings()).context("cannot write postgresql.conf")
    }

    /// The last setting of a name counts, so these win over initdb's.
    fn settings(&self) -> String {
        let own = [
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            ("unix_socket_directories", String::new()),
            ("fsync", if self.options.fsync { "on" } else { "off" }.to_owned()),
            ("synchronous_commit", "on".to_owned()),
            ("shared_buffers", format!("{}MB", self.options.shared_buffers_mb)),
            ("max_connections", self.options.max_connections.to_string()),
            ("max_wal_size", "2GB".to_owned()),
            ("log_min_messages", "warning".to_owned()),
        ];
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        let asked = self.options.settings.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        own.chain(asked).fold(String::from("\n"), |file, (name, value)| {
            file + &format!("{name} = '{}'\n", value.replace('\'', "''"))
        })
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(name));
        // libpq's variables and the caller's locale must not reach a throwaway server.
        command.env_clear().envs(
            ["PATH", "LD_LIBRARY_PATH"]
                .iter()
                .filter_map(|name| Some((*name, std::env::var_os(name)?))),
        );
        command.current_dir(self.dir.path());
        if let Some(account) = &self.account {
            account.run_as(&mut command);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Nobody could act on an error here; WorkDir's sweep ends what is left.
        let _ = self.stop();
    }
}

/// The eighth line of postmaster.pid is the server's state: what `pg_ctl -w` waits for.
fn says_ready(postmaster_pid: &Path) -> bool {
    fs::read_to_string(postmaster_pid)
        .is_ok_and(|file| file.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
}

fn log_tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("the end of its log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
}
