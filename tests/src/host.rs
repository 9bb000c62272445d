//! A host process: started, asked, killed, frozen, stopped.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::Duration,
};

use uuid::Uuid;
use wasaga_services::process::{Signal, signal};

use crate::{Api, PATIENCE, environment, eventually};

/// How much of a failed test's log is shown.
const SHOWN: usize = 200;

/// A host to be started.
#[derive(Clone)]
pub struct HostOptions {
    keys: BTreeMap<String, String>,
    api: Api,
    directory: PathBuf,
    command: Vec<String>,
}

/// A running host. Dropped, it is killed; when its test fails, its log is printed.
pub struct Host {
    child: Option<Child>,
    config: PathBuf,
    log: PathBuf,
    /// Its HTTP interface.
    pub api: Api,
}

impl HostOptions {
    pub(crate) fn new(keys: BTreeMap<String, String>, api: Api, directory: &Path) -> Self {
        Self { keys, api, directory: directory.to_owned(), command: vec!["run".into()] }
    }

    /// Sets a key of the configuration, as `engine.lease_ms`, to a value in TOML.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Display) -> Self {
        self.keys.insert(key.into(), value.to_string());
        self
    }

    /// Leaves a key to its default.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.keys.remove(key);
        self
    }

    /// Starts it by another command than `run`.
    #[must_use]
    pub fn by(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Starts it, and returns when it says that it is ready.
    pub async fn start(&self) -> Host {
        let mut host = self.spawn();
        host.ready().await;
        host
    }

    /// Starts it, and returns at once.
    pub fn spawn(&self) -> Host {
        let name = self.directory.join(format!("host-{}", Uuid::new_v4().simple()));
        let (config, log) = (name.with_extension("toml"), name.with_extension("log"));
        let lines: Vec<_> =
            self.keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        fs::write(&config, lines.concat()).expect("the test's directory can be written");
        let file = File::create(&log).expect("the test's directory can be written");
        // Should the test's process be killed, its hosts die with it.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(environment::host())
            .args(&self.command)
            .arg("--config")
            .arg(&config)
            .env_remove("DATABASE_URL")
            .env_remove("SERVER_PORT")
            .env_remove("KAFKA_BROKERS")
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file can be shared"))
            .stderr(file)
            .spawn()
            .expect("setpriv, of Debian's util-linux, is on PATH");
        Host { child: Some(child), config, log, api: self.api.clone() }
    }
}

impl Host {
    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) {
        let api = self.api.clone();
        eventually("the host is ready", PATIENCE, async || {
            assert!(self.exit_status().is_none(), "the host has ended:\n{}", self.log());
            let answer = api.try_get("/readyz").await?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the host runs").id()
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the host runs");
        child.kill().expect("it is ours");
        child.wait().expect("it was killed");
    }

    /// SIGSTOP: it does nothing, and does not know that time passes.
    pub fn freeze(&self) {
        signal(self.pid(), Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        signal(self.pid(), Signal::CONT);
    }

    /// SIGTERM; it must end by itself within the bound, and say that it succeeded.
    pub async fn stop(mut self, within: Duration) {
        signal(self.pid(), Signal::TERM);
        let status = self.ended(within).await;
        assert!(status.success(), "the host ended with {status}:\n{}", self.log());
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        eventually("the host ends", within, async || self.exit_status()).await
    }

    /// Runs `wasaga` with these arguments and the host's configuration, which must succeed; what it prints.
    pub async fn cli(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments).await;
        let failed = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "wasaga {}: {failed}", arguments.join(" "));
        String::from_utf8(ran.stdout).expect("it prints text")
    }

    /// The same where it must fail; what it says.
    pub async fn cli_fails(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments).await;
        assert!(!ran.status.success(), "wasaga {} succeeds", arguments.join(" "));
        String::from_utf8_lossy(&ran.stderr).into_owned()
    }

    /// The same, however it ends.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let ran = tokio::process::Command::new(environment::host())
            .arg("--config")
            .arg(&self.config)
            .args(arguments)
            .env_remove("DATABASE_URL")
            .kill_on_drop(true)
            .output();
        let ran = tokio::time::timeout(PATIENCE, ran).await.expect("a command ends");
        ran.expect("the host's binary can be started")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has logged a line with this text.
    pub async fn logged(&self, text: &str) -> String {
        eventually(format!("the log says {text:?}"), PATIENCE, async || {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
        .await
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().expect("the host was not killed").try_wait().expect("it is ours")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN)..];
            eprintln!("--- {} ({} lines)\n{}", self.log.display(), lines.len(), shown.join("\n"));
        }
    }
}
