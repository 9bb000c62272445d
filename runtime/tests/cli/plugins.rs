//! `wasaga plugins`, on components as their authors build them.

use std::{env, path::PathBuf};

use serde_json::Value;
use wasaga_store::testing::database;

use crate::wasaga::Wasaga;

/// A component of plugins/.
fn component(name: &str) -> String {
    let built = env::var_os("WASAGA_TEST_PLUGINS").expect(
        "WASAGA_TEST_PLUGINS must name the built plugins: run the tests by `cargo xtask test`",
    );
    PathBuf::from(built).join(format!("{name}.wasm")).display().to_string()
}

#[test]
fn lint_names_what_is_not_granted() {
    let inventory = component("inventory-rust");
    let ungranted = Wasaga::new().run(&["plugins", "lint", &inventory]);
    assert_eq!(ungranted.code, Some(1), "{}", ungranted.stderr);
    let told = "error: plugin inventory asks for sql, which is not granted";
    assert!(ungranted.stdout.starts_with(told), "{}", ungranted.stdout);
    assert!(ungranted.stderr.contains("errors, 0 warnings"), "{}", ungranted.stderr);

    let all = Wasaga::new().set("WASAGA_PLUGINS__GRANT_ALL", "true");
    let granted = all.run(&["plugins", "lint", "--strict", &inventory]);
    assert_eq!((granted.code, &*granted.stdout), (Some(0), ""), "{}", granted.stderr);
}

#[test]
fn lint_fails_on_warnings_where_it_is_strict() {
    let changes = "[definitions.greeting.steps.no-such-step]\ntimeout_ms = 5\n";
    let wasaga = Wasaga::new().file("wasaga.toml", changes);
    let greeting = component("greeting-rust");
    let lint = wasaga.run(&["plugins", "lint", &greeting]);
    assert_eq!(lint.code, Some(0), "{}", lint.stderr);
    assert!(lint.stdout.contains("[definitions.greeting.steps.no-such-step]"), "{}", lint.stdout);

    let strict = wasaga.run(&["plugins", "lint", "--strict", "--json", &greeting]);
    assert_eq!(strict.code, Some(1));
    assert!(strict.stderr.contains("0 errors, 1 warnings"), "{}", strict.stderr);
    let findings: Value = serde_json::from_str(&strict.stdout).expect("JSON");
    assert_eq!(
        (&findings[0]["level"], findings.as_array().map(Vec::len)),
        (&"warning".into(), Some(1))
    );
}

#[test]
fn what_does_not_load_is_told_in_one_line() {
    let wasaga = Wasaga::new().file("broken.wasm", "not a module");
    for command in ["lint", "check"] {
        let ended = wasaga.run(&["plugins", command, "broken.wasm"]);
        assert_eq!(ended.code, Some(1));
        let expected = "wasaga: broken.wasm: rejected: this is not WebAssembly";
        assert!(
            ended.stderr.starts_with(expected) && ended.stderr.lines().count() == 1,
            "{}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn modules_are_changed_on_the_command_line() {
    let database = database().await;
    let wasaga = Wasaga::new()
        .set("DATABASE_URL", &database.url)
        .set("USER", "grace")
        .set("WASAGA_PLUGINS__GRANT_ALL", "true");
    let done = |arguments: &[&str]| {
        let ended = wasaga.run(&[&["plugins"], arguments].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };
    let refused = |arguments: &[&str], says: &str| {
        let ended = wasaga.run(&[&["plugins"], arguments].concat());
        assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.stdout);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    };
    let (one, two) = (component("probe-rust"), component("probe-v2-rust"));
    let pushed = done(&["push", &one, "--reason", "the first"]);
    assert!(
        pushed.starts_with("probe 0.1.0 (sha256:") && pushed.ends_with("): activated\n"),
        "{pushed}"
    );
    let kept: Value =
        serde_json::from_str(&done(&["push", &two, "--no-activate", "--json"])).expect("JSON");
    let digest = kept["digest"].as_str().expect("a digest");
    assert_eq!((&kept["change"], &kept["version"]), (&"pushed".into(), &"2.0.0".into()));
    let canary = done(&["activate", "probe", digest, "--canary", "10", "--min-calls", "5"]);
    assert!(canary.ends_with("): canary_started\n"), "{canary}");
    let listed = done(&["list"]);
    assert!(
        listed.contains("0.1.0") && listed.contains(&format!("2.0.0 {digest} (10 %)")),
        "{listed}"
    );
    done(&["end-canary", "probe"]);
    refused(&["promote", "probe"], "has no canary to promote");
    done(&["activate", "probe", digest, "--undo"]);
    done(&["end-undo", "probe"]);
    done(&["activate", "probe", digest]);
    let back = done(&["rollback", "probe", "--reason", "it is slow"]);
    assert!(back.starts_with("probe 0.1.0") && back.ends_with("): rolled_back\n"), "{back}");
    refused(&["rollback", "probe"], "no module before the active one");

    let history = done(&["history", "probe"]);
    let told: Vec<_> = history.lines().filter(|line| line.contains("grace")).collect();
    let what = [
        "rolled_back",
        "activated",
        "undo_ended",
        "undo_taken_over",
        "canary_ended",
        "canary_started",
        "pushed",
        "activated",
    ];
    assert_eq!(told.len(), what.len(), "{history}");
    assert!(told.iter().zip(what).all(|(line, what)| line.contains(what)), "{history}");
    assert!(told[0].contains("it is slow") && told[7].contains("the first"), "{history}");

    done(&["activate", "probe", digest]);
    let start = "select wasaga.start_saga('probe', 'k', '{}')::text";
    let saga = database.texts(start).await.remove(0).expect("an id");
    let touched = done(&["sagas", "probe"]);
    assert!(touched.contains(&saga) && touched.contains("pending"), "{touched}");
    refused(&["push", "no-such.wasm"], "can't be read");
    refused(&["history", "no-such"], "no plugin no-such was ever active");
    refused(&["activate", "probe", digest, "--canary", "100"], "a canary takes 1 to 99");
}
