//! Runs of the binary in a directory and an environment of their own.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use uuid::Uuid;

/// How a run is set up.
pub struct Wasaga {
    pub directory: PathBuf,
    variables: Vec<(String, String)>,
}

/// A run that ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A run under way; killed when dropped.
pub struct Running {
    child: Child,
    pub url: String,
}

impl Wasaga {
    pub fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("wasaga-cli-{}", Uuid::new_v4()));
        fs::create_dir(&directory).expect("a directory of its own");
        Self { directory, variables: Vec::new() }
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub fn file(self, name: &str, content: &str) -> Self {
        fs::write(self.directory.join(name), content).expect("a file");
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasaga"));
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.envs(self.variables.iter().cloned()).env("HOME", &self.directory);
        // One of the test suite's own: no configuration.
        command.env("WASAGA_TEST_POSTGRES", "ignored");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let Output { status, stdout, stderr } =
            self.command(arguments).output().expect("the binary runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Starts the host and waits for the line that says it is up.
    pub fn start(&self) -> Running {
        let mut child = self.command(&[]).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                eprintln!("{line}");
                if let Some((_, url)) = line.split_once("wasaga is up: ") {
                    let _ = sender.send(url.split(' ').next().unwrap_or_default().to_owned());
                }
            }
        });
        let url = receiver.recv_timeout(Duration::from_mins(1)).expect("the host comes up");
        Running { child, url }
    }
}

impl Drop for Wasaga {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its end, which must come within `bound`.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        let until = Instant::now() + bound;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the host did not end within {bound:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
