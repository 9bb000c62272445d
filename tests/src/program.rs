//! Examples in other languages, as a user would build and run them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use wasaga_services::find_binary;

use crate::environment;

/// How long a program may take, also one that fetches its dependencies first.
const PATIENCE: Duration = Duration::from_mins(3);

/// A directory of `examples/`, copied to where it can be built; what was fetched for it stays there for the next test.
pub struct Program {
    directory: PathBuf,
    environment: Vec<(String, String)>,
}

/// A program that runs until it is dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Copies an example; panics, saying what to install, where it needs a program (and its Debian package) that is
    /// missing.
    pub fn of(example: &str, needs: &[(&str, &str)]) -> Self {
        for (program, package) in needs {
            assert!(
                find_binary(program).is_some(),
                "examples/{example} needs {program}, which is not on PATH: install it (Debian: apt-get install {package})"
            );
        }
        let source = directory(example);
        let copies = environment::plugins().with_file_name("example-programs");
        let copy = copies.join(example.replace('/', "-"));
        fs::create_dir_all(&copy).expect("a directory beside the plugins can be made");
        for file in fs::read_dir(&source).expect("the example is there") {
            let file = file.expect("the example can be listed");
            if file.file_type().expect("it has a type").is_file() {
                fs::copy(file.path(), copy.join(file.file_name())).expect("it can be copied");
            }
        }
        Self { directory: copy, environment: Vec::new() }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs a command in its directory, which must succeed; what it prints.
    pub async fn run(&self, command: &[&str]) -> String {
        self.ends(command).await.unwrap_or_else(|said| panic!("{}: {said}", command.join(" ")))
    }

    /// Runs a command in its directory: what it prints, or where it fails all that it says.
    pub async fn ends(&self, command: &[&str]) -> Result<String, String> {
        let (program, arguments) = command.split_first().expect("a command has a program");
        let ran = tokio::process::Command::new(self.path(program))
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ran = tokio::time::timeout(PATIENCE, ran).await.expect("it ends in time");
        let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !ran.status.success() {
            return Err(text(&ran.stdout) + &text(&ran.stderr));
        }
        Ok(text(&ran.stdout))
    }

    /// Starts a command in its directory that runs until it is dropped.
    pub fn start(&self, command: &[&str]) -> Running {
        let (program, arguments) = command.split_first().expect("a command has a program");
        let log = self.directory.join("log");
        let file = File::create(&log).expect("its directory can be written");
        // Should the test's process be killed, the program dies with it.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(self.path(program))
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file can be shared"))
            .stderr(file)
            .spawn()
            .expect("setpriv, of Debian's util-linux, is on PATH");
        Running { child, log }
    }

    /// A program with a slash in its name is in the example's directory.
    fn path(&self, program: &str) -> PathBuf {
        if program.contains('/') { self.directory.join(program) } else { program.into() }
    }
}

/// The file of an example as a text.
pub fn example(path: &str) -> String {
    fs::read_to_string(directory(path)).unwrap_or_else(|error| panic!("examples/{path}: {error}"))
}

fn directory(example: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
    root.join("examples").join(example)
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- {}\n{log}", self.log.display());
        }
    }
}
