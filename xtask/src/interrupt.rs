//! Ctrl-C, SIGTERM and SIGHUP: the running command ends, then its services, then xtask.
//!
//! On the first signal the children that work for the command (cargo, Maven, test binaries and
//! all below them) are asked to end. The main thread, which waits for them, then unwinds, and
//! what it holds is dropped. Services have process groups of their own and are left to that.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use wasaga_services::process::{self, Signal};

/// How long children may take to end before they are killed.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Interrupt {
    /// The number of the first signal; 0: none yet.
    received: Arc<AtomicU8>,
}

impl Interrupt {
    /// Listens from now on. To be called once, by the main thread.
    pub fn install() -> Result<Self> {
        let interrupt = Self { received: Arc::default() };
        let (listener, main) = (interrupt.clone(), thread::current());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the signal listener")?;
        thread::spawn(move || {
            runtime.block_on(async {
                if let Err(error) = listener.listen(&main).await {
                    eprintln!("warning: signals are not handled: {error:#}");
                }
            });
        });
        Ok(interrupt)
    }

    async fn listen(&self, main: &thread::Thread) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let received = tokio::select! {
            _ = interrupt.recv() => Signal::INT,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
        };
        eprintln!("\ninterrupted: stopping what was started");
        self.received.store(received.as_raw() as u8, Ordering::SeqCst);
        main.unpark();
        end_workers(Signal::TERM);
        // Those that take too long, and those the main thread started meanwhile.
        loop {
            tokio::time::sleep(PATIENCE).await;
            end_workers(Signal::KILL);
        }
    }

    /// Fails once a signal has come: called before each longer step.
    pub fn check(&self) -> Result<()> {
        if self.exit_code().is_some() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits for a signal. To be called by the main thread.
    pub fn wait(&self) {
        while self.exit_code().is_none() {
            thread::park();
        }
    }

    /// What a shell shows of a process that a signal ended.
    pub fn exit_code(&self) -> Option<ExitCode> {
        let number = self.received.load(Ordering::SeqCst);
        (number != 0).then(|| ExitCode::from(128 + number))
    }
}

/// Signals all descendants but those below a child with a process group of its own.
fn end_workers(with: Signal) {
    let own = std::process::id();
    let tree = process::tree(own);
    let Some(group) = tree.first().map(|first| first.group) else {
        return;
    };
    let mut workers = HashSet::from([own]);
    // Parents come before their children.
    for member in tree.iter().skip(1) {
        let works =
            workers.contains(&member.parent) && (member.parent != own || member.group == group);
        if works {
            workers.insert(member.pid);
            process::signal(member.pid, with);
        }
    }
}
