//! `wasaga plugins`, on components as their authors build them.

use std::{env, path::PathBuf};

use serde_json::Value;

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
