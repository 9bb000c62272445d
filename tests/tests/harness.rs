//! `wasaga test`, as whoever writes a plugin runs it: no host, no Kafka, and a database of its own where the plugin has SQL.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use uuid::Uuid;
use wasaga_services::process;
use wasaga_tests::{PATIENCE, environment};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    /// The cases of a JSON report: each with its name and what failed in it.
    fn cases(&self) -> Vec<(String, Vec<String>)> {
        let report: Value = serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err));
        let texts = |value: &Value| {
            let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        let cases = report["cases"].as_array().expect("a report has cases").iter();
        cases
            .map(|case| {
                (case["name"].as_str().unwrap_or_default().into(), texts(&case["failures"]))
            })
            .collect()
    }

    #[track_caller]
    fn all_pass(&self, cases: usize) {
        let tried = self.cases();
        let failed: Vec<_> = tried.iter().filter(|(_, failures)| !failures.is_empty()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert_eq!((self.code, tried.len()), (0, cases), "{}", self.err);
    }
}

fn plugin(package: &str) -> PathBuf {
    environment::plugins().join(format!("{package}.wasm"))
}

fn scenarios(package: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
    root.join("plugins").join(package).join("scenarios")
}

/// A file of this text, which is left behind with the system's other temporary ones where the test fails.
fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wasaga-{}-{name}", Uuid::new_v4().simple()));
    fs::write(&path, text).expect("a temporary file can be written");
    path
}

fn wasaga_test(arguments: &[&Path], options: &[&str]) -> Ran {
    let mut command = Command::new(environment::host());
    // Where no configuration lies.
    command.current_dir(environment::plugins()).env_remove("WASAGA_TEST_DATABASE");
    command.arg("test").args(arguments).args(options);
    let ended = command.output().expect("wasaga runs");
    Ran {
        code: ended.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&ended.stdout).into_owned(),
        err: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

#[test]
fn scenarios_of_steps_and_of_whole_sagas() {
    let (plugin, scenarios) = (plugin("greeting-rust"), scenarios("greeting-rust"));
    wasaga_test(&[&plugin, &scenarios], &["--format", "json"]).all_pass(4);
    let human = wasaga_test(&[&plugin, &scenarios], &[]);
    assert!(human.out.ends_with("4 cases: 4 passed, 0 failed\n"), "{}", human.out);
    let junit = wasaga_test(&[&plugin, &scenarios], &["--format", "junit"]);
    assert!(junit.out.contains("tests=\"4\" failures=\"0\""), "{}", junit.out);
}

#[test]
fn a_scenario_with_sql_sees_the_plugins_own_tables() {
    let (plugin, scenarios) = (plugin("inventory-rust"), scenarios("inventory-rust"));
    let database = environment::postgres();
    let options = ["--format", "json", "--database", &database];
    wasaga_test(&[&plugin, &scenarios], &options).all_pass(2);
}

#[test]
fn a_scenario_with_sql_needs_no_server() {
    let (plugin, scenarios) = (plugin("inventory-rust"), scenarios("inventory-rust"));
    wasaga_test(&[&plugin, &scenarios], &["--format", "json"]).all_pass(2);
    let sql = file(
        "sql.toml",
        "[[scenario]]
         name = 'a'
         given.sql = ['select 1']
         when.execute = 'say'",
    );
    let refused = wasaga_test(&[&self::plugin("greeting-rust"), &sql], &["--format", "json"]);
    assert!(refused.cases()[0].1[0].contains("no plugin asks for it"), "{}", refused.out);
    fs::remove_file(sql).expect("it is there");
}

#[test]
fn what_it_starts_ends_with_it() {
    let mut command = Command::new(environment::host());
    command.current_dir(environment::plugins()).env_remove("WASAGA_TEST_DATABASE");
    command.arg("test").arg(plugin("probe-sql-rust")).arg("--faults").stdout(Stdio::null());
    let mut child = Killed(command.spawn().expect("wasaga runs"));
    // `postgres -D DIRECTORY`
    let (pid, directory) = child.within_patience(|child| {
        process::tree(child.id()).into_iter().find_map(|process| {
            let line = fs::read(format!("/proc/{}/cmdline", process.pid)).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            match line.split('\0').collect::<Vec<_>>()[..] {
                [program, "-D", directory, ..] if program.ends_with("/postgres") => {
                    Some((process.pid, PathBuf::from(directory)))
                }
                _ => None,
            }
        })
    });
    process::signal(child.0.id(), process::Signal::TERM);
    let ended = child.within_patience(|child| child.try_wait().expect("it is ours"));
    assert_eq!(ended.code(), Some(1));
    assert!(!directory.exists(), "{}", directory.display());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Killed {
    fn within_patience<T>(&mut self, mut look: impl FnMut(&mut Child) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(&mut self.0) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_comes_out_otherwise_is_told() {
    let wrong = file(
        "wrong.toml",
        "[[scenario]]
         name = 'wrong'
         given.input = { name = 'nobody' }
         when.saga = 'greeting'
         then = { outcome = 'completed', code = 'other', history = ['write succeeded'], logs = ['nothing of it'] }
         [[scenario]]
         name = 'right'
         given.input = { name = 'Ada' }
         when.execute = 'say'
         then.outcome = 'done'",
    );
    let ran = wasaga_test(&[&plugin("greeting-rust"), &wrong], &["--format", "json"]);
    let cases = ran.cases();
    let whats: Vec<_> = cases[0].1.iter().filter_map(|told| told.split(':').next()).collect();
    assert_eq!((ran.code, &whats[..]), (1, &["outcome", "code", "history", "logs"][..]));
    assert!(cases[0].1[0].contains("expected completed, got compensated (nobody-there"));
    assert_eq!(cases[1], ("right".into(), vec![]));
    fs::remove_file(wrong).expect("it is there");
}

#[test]
fn a_file_that_is_no_scenario_is_refused_with_the_place() {
    for (text, told) in [
        ("[[scenario]]\nname = 'a'\nwhen.exeute = 'say'", "exeute"),
        ("[[scenario]]\nname = 'a'\nwhen = {}", "exactly one of execute"),
        ("[[scenario]]\nname = 'a'\nwhen.task = { topic = 't', flow = 'up' }", "dead_in"),
    ] {
        let bad = file("bad.toml", text);
        let ran = wasaga_test(&[&plugin("greeting-rust"), &bad], &[]);
        assert_eq!((ran.code, ran.err.contains(told)), (1, true), "{}", ran.err);
        fs::remove_file(bad).expect("it is there");
    }
    let unknown = file(
        "unknown.toml",
        "[[scenario]]\nname = 'a'\nwhen.execute = 'sing'\nthen.outcome = 'done'",
    );
    let ran = wasaga_test(&[&plugin("greeting-rust"), &unknown], &["--format", "json"]);
    assert!(ran.cases()[0].1[0].contains("no saga of the loaded plugins has a step \"sing\""));
    fs::remove_file(unknown).expect("it is there");
}

/// The saga `probe-http`, whose step a sends a request with this body.
fn charges(name: &str, body: &str, then: &str) -> String {
    let url = "https://api.example.com/charges";
    format!(
        "[[scenario]]
         name = '{name}'
         when.saga = 'probe-http'
         given.input.steps.a = [{{ do = 'http', method = 'POST', url = '{url}', body = '{body}', strict = true }}]
         then.outcome = '{then}'
         "
    )
}

fn exchange(what: &str) -> String {
    let url = "https://api.example.com/charges";
    format!(
        "[[scenario.given.http]]
         request = {{ method = 'POST', url = '{url}' }}
         {what}
         "
    )
}

#[test]
fn other_hosts_answer_as_a_scenario_says() {
    let answer = exchange("response = { status = 201, body = { id = 7 } }");
    let tried = charges("tried again", "{}", "completed");
    let tried =
        tried + "then.history = ['a retrying', 'a succeeded', 'b succeeded', 'c succeeded']\n";
    let told = [
        tried + &exchange("error = 'maybe-sent'") + &answer,
        charges("unexpected", r#"{"n":2}"#, "failed"),
        charges("unused", "{}", "completed") + &answer + &answer,
        charges("another", "{}", "failed")
            + &answer.replace("request = {", "request = { headers = { idempotency-key = 'x' },"),
    ];
    let scenarios = file("http.toml", &told.concat());
    let ran = wasaga_test(&[&plugin("probe-http-rust"), &scenarios], &["--format", "json"]);
    let cases = ran.cases();
    assert_eq!(cases[0].1, [""; 0], "{}", ran.out);
    let url = "https://api.example.com/charges";
    assert_eq!(cases[1].1, [format!("http: unexpected: POST {url} with {{\"n\":2}}")]);
    assert_eq!(cases[2].1, [format!("http: nobody asked for POST {url}")]);
    assert_eq!(cases[3].1.len(), 2, "{:?}", cases[3].1);
    fs::remove_file(scenarios).expect("it is there");
}

#[test]
fn a_secret_is_starred_in_what_is_logged() {
    let scenarios = file(
        "secret.toml",
        "[[scenario]]
         name = 'blabs'
         when.saga = 'probe-http'
         given.config = { token = 'tell-nobody' }
         given.input.steps.a = [{ do = 'blab' }]
         then = { outcome = 'failed', code = '***', logs = ['it is ***'] }",
    );
    let ran = wasaga_test(&[&plugin("probe-http-rust"), &scenarios], &["--format", "json"]);
    ran.all_pass(1);
    assert!(!ran.out.contains("tell-nobody"), "{}", ran.out);
    fs::remove_file(scenarios).expect("it is there");
}

#[test]
fn faults_compare_what_other_hosts_were_asked() {
    let answer = exchange("response = { status = 201 }");
    for (body, passes) in [(r#"{"key":"$key"}"#, true), (r#"{"attempt":"$attempt"}"#, false)] {
        // The others say the same in each attempt: those of a plugin with HTTP count where their host is lost.
        let others = ["steps.b", "steps.c", "undo.a", "undo.b"]
            .map(|step| format!("given.input.{step} = [{{ do = 'done' }}]\n"))
            .concat();
        let told = charges("charges", body, "completed") + &others + &answer;
        let scenarios = file("faults.toml", &told);
        let arguments = [&*plugin("probe-http-rust"), &*scenarios];
        let ran = wasaga_test(&arguments, &["--faults", "--format", "json"]);
        let failed: Vec<_> =
            ran.cases().into_iter().filter(|(_, failures)| !failures.is_empty()).collect();
        if passes {
            assert!(failed.is_empty() && ran.code == 0, "{failed:#?}");
        } else {
            let [(name, failures)] = &failed[..] else { panic!("one fails: {failed:#?}") };
            assert!(name.contains("a is lost with its host before its commit"), "{name}");
            assert!(failures[0].starts_with("the requests are [{"), "{failures:?}");
        }
        fs::remove_file(scenarios).expect("it is there");
    }
}

#[test]
fn the_fault_matrix_needs_no_scenario() {
    let input = file("ada.json", "{\"name\": \"Ada\"}");
    let ran = wasaga_test(
        &[&plugin("greeting-rust")],
        &["--faults", "--format", "json", "--input", &input.display().to_string()],
    );
    // Undisturbed; of two steps each lost before and after its commit and failed; the first one's undo twice.
    ran.all_pass(1 + 2 * 3 + 1);
    fs::remove_file(input).expect("it is there");
}

#[test]
fn a_step_that_is_not_idempotent_is_reported() {
    let done = json!([{ "do": "done", "output": 1, "undo": 2 }]);
    let random = json!([{ "do": "imports", "message": "random" }]);
    let script = json!({ "steps": { "a": done, "b": random, "c": done },
        "undo": { "a": random, "b": done, "c": done } });
    let input = file("script.json", &script.to_string());
    let ran = wasaga_test(
        &[&plugin("probe-rust")],
        &["--faults", "--format", "json", "--input", &input.display().to_string()],
    );
    let told: Vec<_> =
        ran.cases().into_iter().filter(|(name, _)| name.starts_with("probe:")).collect();
    let blamed = |step: &str| {
        let mut failures = told.iter().flat_map(|(_, failures)| failures);
        failures.any(|failure| failure.starts_with(&format!("{step} is not idempotent")))
    };
    assert_eq!(ran.code, 1);
    assert_eq!([blamed("a"), blamed("b"), blamed("c")], [false, true, false], "{told:#?}");
    assert_eq!([blamed("the undo of a"), blamed("the undo of b")], [true, false], "{told:#?}");
    fs::remove_file(input).expect("it is there");
}
