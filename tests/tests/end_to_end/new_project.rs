//! `wasaga new`, `build` and `test`, as whoever writes a first plugin in some language goes through them; and the host that
//! runs what came of it. A toolchain that is missing fails its language's test, by the line that says what to install.

use std::{ffi::OsStr, fs, path::Path, process::Output, time::Duration};

use serde_json::json;
use wasaga_tests::{PATIENCE, World, check::promises, environment, eventually};

/// How long a build may take that compiles its language's standard library first, on a machine that does other things.
pub(crate) const BUILD: Duration = Duration::from_mins(8);

/// `wasaga`, for which what projects have in common is built once.
pub(crate) fn program() -> tokio::process::Command {
    let beside = |name| environment::plugins().with_file_name(name);
    let mut command = tokio::process::Command::new(environment::host());
    command.env("WASAGA_PLUGINS__CACHE_DIR", beside("guests-compiled"));
    command.env("CARGO_TARGET_DIR", beside("new-projects")).kill_on_drop(true);
    command
}

pub(crate) async fn wasaga(directory: &Path, arguments: &[&OsStr]) -> Output {
    let ran = program().args(arguments).current_dir(directory).output();
    tokio::time::timeout(BUILD, ran).await.expect("it ends in time").expect("wasaga can be started")
}

/// Runs `wasaga`, which must succeed.
pub(crate) async fn succeeds(directory: &Path, arguments: &[&OsStr]) -> String {
    let ran = wasaga(directory, arguments).await;
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {said}");
    String::from_utf8(ran.stdout).expect("it prints text")
}

pub(crate) fn texts<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<&'a OsStr> {
    arguments.into_iter().map(OsStr::new).collect()
}

/// From nothing to sagas that run: greets two people, and nobody.
async fn greets(language: &str) {
    let world = World::embedded(&[]).await;
    let name = format!("hello-{language}");
    let parent = world.plugins.path().parent().expect("it is in the test's directory");
    succeeds(parent, &texts(["new", &name, "--language", language])).await;
    let project = parent.join(&name);
    succeeds(&project, &texts(["build"])).await;
    let component = format!("build/{name}.wasm");
    let tried = succeeds(&project, &texts(["test", &component, "scenarios", "--faults"])).await;
    assert!(tried.ends_with(" 0 failed\n"), "{tried}");

    let host = world.host().start().await;
    let bytes = fs::read(project.join(&component)).expect("it was just built");
    world.plugins.put(&name, &bytes);
    eventually("the plugin is active", PATIENCE, async || host.api.plugin(&name).await).await;
    let path = format!("/api/v1/greetings/{name}");
    let mut said = Vec::new();
    for who in ["Ada", "Zoë"] {
        let saga = host.api.post(&path, &json!({"name": who})).await.saga();
        let saga = host.api.reaches(&saga, "completed").await;
        assert_eq!(saga["outputs"]["write"]["card"], format!("Hello, {who}!"));
        assert_eq!(saga["outputs"]["say"]["said_to"], who);
        let line = host.logged(&format!("{who} is greeted at ")).await;
        let (_, at) = line.split_once(" is greeted at ").expect("it was just found");
        let (at, number) = at.split_once(", number ").expect("a number comes behind it");
        let number = number.split(' ').next().unwrap_or_default();
        said.push((at.to_owned(), number.to_owned()));
    }
    // Time and chance are the host's, and not those of the machine that built the component.
    let (at, number) = &said[0];
    let at = match at.parse::<u64>() {
        Ok(millis) => format!("to_timestamp({millis} / 1000.0)"),
        Err(_) => format!("'{at}'::timestamptz"),
    };
    let late = format!("select abs(extract(epoch from now() - {at}))::bigint");
    assert!(world.number(&late).await < 60, "{at}");
    assert_ne!(*number, said[1].1);

    let saga = host.api.post(&path, &json!({"name": "nobody"})).await.saga();
    let saga = host.api.reaches(&saga, "compensated").await;
    assert_eq!(saga["error"]["code"], "nobody-there");
    host.logged("the card for nobody is torn up").await;
    promises(&world).await;
}

#[tokio::test]
async fn new_project_rust() {
    greets("rust").await;
}

#[tokio::test]
async fn new_project_c() {
    greets("c").await;
}

#[tokio::test]
async fn new_project_go() {
    greets("go").await;
}

#[tokio::test]
async fn new_project_javascript() {
    greets("javascript").await;
}

#[tokio::test]
async fn new_project_typescript() {
    greets("typescript").await;
}

#[tokio::test]
async fn new_project_python() {
    greets("python").await;
}

#[tokio::test]
async fn new_project_only_where_nothing_is() {
    let world = World::embedded(&[]).await;
    let parent = world.plugins.path().parent().expect("it is in the test's directory");
    let new = texts(["new", "hello", "--language", "c"]);
    succeeds(parent, &new).await;
    let again = wasaga(parent, &new).await;
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("hello is not empty"), "{said}");
    let bad = wasaga(parent, &texts(["new", "Hello", "--language", "c"])).await;
    assert!(String::from_utf8_lossy(&bad.stderr).contains("a to z"), "{bad:?}");
    let none = wasaga(parent, &texts(["build", "plugins"])).await;
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no plugin.toml"), "{none:?}");
    // What was lost of the SDK can be had again.
    let project = parent.join("hello");
    fs::remove_dir_all(project.join("sdk")).expect("it is there");
    let lost = wasaga(&project, &texts(["build"])).await;
    assert!(String::from_utf8_lossy(&lost.stderr).contains("--renew-sdk"), "{lost:?}");
    wasaga(&project, &texts(["build", "--renew-sdk"])).await;
    assert!(project.join("sdk/c/include/wasaga.h").is_file());
}

#[tokio::test]
async fn new_project_without_its_toolchain_is_told_what_to_install() {
    let world = World::embedded(&[]).await;
    let parent = world.plugins.path().parent().expect("it is in the test's directory");
    for (language, told) in [
        ("go", "Go 1.24 or later is needed"),
        ("python", "Python 3.10 or later is needed"),
        ("javascript", "Node.js 20 or later and npm are needed"),
        ("c", "no C compiler for WebAssembly"),
        ("rust", "cargo is not on PATH"),
    ] {
        let name = format!("bare-{language}");
        succeeds(parent, &texts(["new", &name, "--language", language])).await;
        let built = std::process::Command::new(environment::host())
            .args(["build", &name])
            .current_dir(parent)
            .env("PATH", parent)
            .env_remove("CARGO")
            .env_remove("WASI_SDK_PATH")
            .output()
            .expect("wasaga can be started");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(!built.status.success(), "{language}");
        assert!(said.contains(told) && said.lines().count() == 1, "{language}: {said}");
    }
}
