//! A long-running child process: its log, its signals and its end.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::net::wait_until;
use crate::process::{self, Process, Signal, signal};

/// How long a process may take to vanish after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// A running child process.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts `command` with its output in `log`, in a process group of its own: Ctrl-C in a
    /// terminal ends the tests first and their services after them.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log file")?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self { child })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, or none while it runs.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot wait for a child process")
    }

    /// Asks it to end by `request`, and kills it with its children after `patience`.
    pub fn stop(mut self, request: Signal, patience: Duration) -> Result<()> {
        signal(self.pid(), request);
        if wait_until(patience, || Ok(self.exit_status()?.is_some()))? {
            Ok(())
        } else {
            self.kill9()
        }
    }

    /// SIGKILL to it and to all its children at once, as a power cut would end them; returns
    /// when the last one is gone.
    pub fn kill9(mut self) -> Result<()> {
        let tree = process::tree(self.pid());
        kill_all(&tree);
        self.child.wait().context("cannot wait for a killed child process")?;
        wait_until_gone(&tree)
    }
}

/// SIGKILL to every process of `processes` that still runs, and waits until they are gone.
pub(crate) fn kill_and_wait(processes: &[Process]) -> Result<()> {
    kill_all(processes);
    wait_until_gone(processes)
}

fn kill_all(processes: &[Process]) {
    for process in processes {
        signal(process.pid, Signal::KILL);
    }
}

fn wait_until_gone(processes: &[Process]) -> Result<()> {
    let gone = |p: &Process| Process::of(p.pid).is_none_or(|now| now.zombie);
    if !wait_until(KILL_PATIENCE, || Ok(processes.iter().all(gone)))? {
        bail!("killed processes still run after {KILL_PATIENCE:?}: {processes:?}");
    }
    Ok(())
}
