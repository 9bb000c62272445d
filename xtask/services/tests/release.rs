//! What cannot be built here as its toolchain is missing comes from a release, and is what the release says it is.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use wasaga_services::guests::{Built, Guest, Guests, Release, Unbuilt, write_sums};

/// What every component begins with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// Set where this test runs itself again without any program on PATH.
const BARE: &str = "WASAGA_TEST_BARE";

/// A directory of the test's own.
struct Directory(PathBuf);

impl Directory {
    fn create(name: &str) -> Self {
        let name = format!("release-{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(path.join("out")).expect("the test's directory can be written");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A release in it, with this component.
    fn release(&self, name: &str, component: &[u8]) -> Release {
        let directory = self.path("release");
        fs::create_dir_all(&directory).expect("the test's directory can be written");
        let path = directory.join(format!("{name}.wasm"));
        fs::write(&path, component).expect("the test's directory can be written");
        let guest = Guest { name: name.into(), path, bytes: component.len() as u64 };
        write_sums(&[guest], &directory).expect("the test's directory can be written");
        Release { version: "0.1.0".into(), place: directory.to_str().expect("it is text").into() }
    }

    /// What is taken of the guests that are not built, or why they are not.
    fn take(&self, built: &Built, release: Option<&Release>) -> Result<Vec<String>, String> {
        built.or_released(release, &self.path("out")).map_err(|error| format!("{error:#}"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Guests without a toolchain.
fn without_toolchain(names: &[&str]) -> Built {
    let unbuilt = |name: &&str| Unbuilt {
        name: (*name).into(),
        reason: format!("install what {name} takes"),
        no_toolchain: true,
    };
    Built { guests: Vec::new(), unbuilt: names.iter().map(unbuilt).collect() }
}

/// Serves the files of a directory on a port of its own, as long as the process lives.
fn serve(directory: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &directory);
        }
    });
    format!("http://{address}/v1/")
}

fn answer(mut stream: TcpStream, directory: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let file = path.strip_prefix("/v1/").map(|name| directory.join(name));
    match file.and_then(|file| fs::read(file).ok()) {
        Some(content) => {
            write!(stream, "HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n", content.len())?;
            stream.write_all(&content)
        }
        None => write!(stream, "HTTP/1.0 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
    }
}

/// A source tree whose one plugin, in C, cannot be compiled.
fn broken(directory: &Directory) -> Guests {
    let root = directory.path("tree");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = root.join("plugins/broken-c/src");
    fs::create_dir_all(&source).expect("the test's directory can be written");
    fs::create_dir_all(root.join("plugins/testing")).expect("the test's directory can be written");
    for part in ["guest-sdk", "wit", "runtime"] {
        symlink(repository.join(part), root.join(part))
            .expect("the test's directory can be written");
    }
    let project = "language = \"c\"\nworld = \"saga-plugin\"\n";
    fs::write(root.join("plugins/broken-c/plugin.toml"), project)
        .expect("the test's directory can be written");
    fs::write(source.join("plugin.c"), "this is no C\n")
        .expect("the test's directory can be written");
    Guests { root, target_dir: directory.path("target") }
}

#[test]
fn a_build_that_fails_is_not_a_toolchain_that_is_missing() {
    let is_bare = env::var_os(BARE).is_some();
    let directory = Directory::create("broken");
    let release = directory.release("broken-c", COMPONENT);
    let built = broken(&directory).build(&["broken-c"], &directory.path("out")).unwrap();
    let taken = directory.take(&built, Some(&release));
    if is_bare {
        let [line] = &taken.unwrap()[..] else { panic!("one is taken") };
        assert!(line.starts_with("broken-c: no C compiler for WebAssembly: install"), "{line}");
        assert_eq!(fs::read(directory.path("out/broken-c.wasm")).unwrap(), COMPONENT);
        assert!(!directory.path("out/broken-c.missing").exists());
        return;
    }
    let error = taken.unwrap_err();
    assert!(error.starts_with("broken-c is not built: ") && error.contains("clang"), "{error}");
    assert!(!directory.path("out/broken-c.wasm").exists());

    // The same without a compiler.
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", "a_build_that_fails_is_not_a_toolchain_that_is_missing"]);
    let again = again.env(BARE, "1").env("PATH", "").env_remove("WASI_SDK_PATH").output().unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
}

#[test]
fn a_component_is_taken_if_it_is_the_one_of_the_release() {
    let directory = Directory::create("checked");
    let component = [COMPONENT, b"of a release"].concat();
    let in_directory = directory.release("payment-python", &component);
    let place = serve(directory.path("release"));
    let over_http = Release { place, ..in_directory.clone() };
    let built = without_toolchain(&["payment-python"]);
    let out = directory.path("out/payment-python.wasm");
    let released = directory.path("release/payment-python.wasm");
    for release in [in_directory, over_http] {
        fs::write(directory.path("out/payment-python.missing"), "no toolchain").unwrap();
        let taken = directory.take(&built, Some(&release)).unwrap();
        let why = "payment-python: install what payment-python takes";
        assert_eq!(taken, [format!("{why}; taken from the release 0.1.0: {}", release.place)]);
        assert_eq!(fs::read(&out).unwrap(), component);
        assert!(!directory.path("out/payment-python.missing").exists());
        fs::remove_file(&out).unwrap();

        fs::write(&released, [COMPONENT, b"of a stranger"].concat()).unwrap();
        let error = directory.take(&built, Some(&release)).unwrap_err();
        let told = format!("payment-python.wasm of {} is not what its SHA256SUMS", release.place);
        assert!(error.starts_with(&told), "{error}");
        assert!(!out.exists());
        fs::write(&released, &component).unwrap();

        let both = without_toolchain(&["payment-python", "notification-go"]);
        let error = directory.take(&both, Some(&release)).unwrap_err();
        assert!(error.contains("does not name notification-go.wasm"), "{error}");
        fs::remove_file(&out).unwrap();

        let nowhere = Release { place: format!("{}/none", release.place), ..release };
        let error = directory.take(&built, Some(&nowhere)).unwrap_err();
        assert!(error.starts_with("cannot ") && error.contains("none/SHA256SUMS"), "{error}");
    }
}

#[test]
fn without_a_release_it_is_said_what_to_install_or_to_set() {
    let directory = Directory::create("none");
    let error = directory.take(&without_toolchain(&["one", "two"]), None).unwrap_err();
    assert_eq!(
        error,
        "one: install what one takes; two: install what two takes; or set WASAGA_RELEASE to the directory or URL of \
         a release's files"
    );
    assert_eq!(directory.take(&Built::default(), None), Ok(Vec::new()));
}

#[test]
fn the_release_of_a_version_is_where_its_repository_has_it() {
    let directory = Directory::create("place");
    let place = |repository: &str, chosen: Option<&str>| {
        let manifest = format!("[workspace.package]\nversion = \"1.2.3\"\n{repository}");
        fs::write(directory.path("Cargo.toml"), manifest).unwrap();
        let release = Release::of(&directory.0, chosen.map(str::to_owned)).unwrap();
        release.map(|release| (release.version, release.place))
    };
    let at = |place: &str| Some(("1.2.3".to_owned(), place.to_owned()));
    let repository = "repository = \"https://code.example/wasaga/\"";
    assert_eq!(place("", None), None);
    assert_eq!(place("", Some("files")), at("files"));
    let of_version = "https://code.example/wasaga/releases/download/v1.2.3";
    assert_eq!(place(repository, None), at(of_version));
    assert_eq!(place(repository, Some("")), at(of_version));
    assert_eq!(place(repository, Some("http://here/")), at("http://here/"));
    // The one of this source tree can be read too.
    Release::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), None).unwrap();
}
