//! Types of payloads: a template, as it is, with schemas that have all there is. Its first step reads a greeting and keeps it for
//! the undo, so that what comes out has been a value of the generated type.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use wasaga_tests::Directory;

use crate::new_project::{succeeds, texts, wasaga};

const SCHEMAS: [(&str, &str); 2] = [
    (
        "greeting.json",
        include_str!("../../../runtime/crates/guest-build/tests/schemas/greeting.json"),
    ),
    (
        "price-list.json",
        include_str!("../../../runtime/crates/guest-build/tests/schemas/price-list.json"),
    ),
];

/// A project `hello` of this language, with those schemas.
async fn project(parent: &Directory, language: &str) -> PathBuf {
    succeeds(parent.path(), &texts(["new", "hello", "--language", language])).await;
    let project = parent.path().join("hello");
    for (name, schema) in SCHEMAS {
        fs::write(project.join("schemas").join(name), schema).expect("it can be written");
    }
    project
}

fn scenarios(checks: bool) -> Value {
    let least = json!({
        "name": "Ada", "type": "greeting", "address": {"street": "1st"}, "lines": [], "prices": {},
        "note": null, "half": 0.5, "loud": true, "meta": null,
    });
    let most = json!({
        "name": "Zoë", "type": "greeting", "address": {"street": "2nd", "map_url": "https://a.example/?b=c&d"},
        "lines": [{"text": "a \"b\" \\ c"}, {"text": "", "count": -7}], "prices": {"tea": 1.25, "a/b": 0.5},
        "note": "", "half": 1e-7, "loud": false, "meta": {"deep": [1, "x", null]},
        "style": "formal", "greeting_id": "g-1", "class": false, "said-to": ["Bob", "Eve"],
        "reply_to": {"street": "3rd"}, "tone": "high", "matrix": [[1, null], []], "2fa": 9_007_199_254_740_991_i64,
    });
    let kept = |input: &Value| {
        json!({
            "name": format!("{} is kept as it is", input["name"]),
            "given": {"input": input}, "when": {"execute": "write"}, "then": {"outcome": "done", "undo": input},
        })
    };
    let mut scenarios = vec![kept(&least), kept(&most)];
    let misfits = [
        ("/lines", json!([{"text": 7}])),
        ("/style", json!("loud")),
        ("/matrix", json!([["one"]])),
        ("/prices", json!({"tea": "dear"})),
        ("/half", json!("much")),
    ];
    for (pointer, value) in misfits.into_iter().filter(|_| checks) {
        let mut input = most.clone();
        *input.pointer_mut(pointer).expect("it is there") = value;
        scenarios.push(json!({
            "name": format!("{pointer} does not fit"),
            "given": {"input": input}, "when": {"execute": "write"},
            "then": {"outcome": "permanent", "code": "undecodable-json"},
        }));
    }
    json!({"scenario": scenarios})
}

/// Whatever has a type is read and written, and what does not fit is refused where the language `checks`.
async fn keeps_all(language: &str, checks: bool) -> (Directory, PathBuf) {
    let parent = Directory::create();
    let project = project(&parent, language).await;
    let scenarios = scenarios(checks).to_string();
    fs::write(project.join("types.json"), scenarios).expect("it can be written");
    if language == "javascript" {
        // Editors have it so; with a tsconfig.json the build has, too.
        let checked = r#"{"extends": "./jsconfig.json", "compilerOptions": {"allowJs": true}}"#;
        fs::write(project.join("tsconfig.json"), checked).expect("it can be written");
    }
    succeeds(&project, &texts(["build"])).await;
    let tried = succeeds(&project, &texts(["test", "build/hello.wasm", "types.json"])).await;
    assert!(tried.ends_with(" 0 failed\n"), "{tried}");
    (parent, project)
}

/// What the types don't have does not build.
async fn is_checked(source: PathBuf, project: PathBuf) {
    let text = fs::read_to_string(&source).expect("it is there");
    assert!(text.contains("input.style"), "{text}");
    fs::write(&source, text.replace("input.style", "input.stile")).expect("it can be written");
    let built = wasaga(&project, &texts(["build"])).await;
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(!built.status.success() && said.contains("'stile' does not exist"), "{said}");
}

#[tokio::test]
async fn payload_types_rust() {
    keeps_all("rust", true).await;
}

#[tokio::test]
async fn payload_types_c() {
    keeps_all("c", true).await;
}

#[tokio::test]
async fn payload_types_go() {
    keeps_all("go", true).await;
}

#[tokio::test]
async fn payload_types_javascript() {
    let (_parent, project) = keeps_all("javascript", false).await;
    is_checked(project.join("src/plugin.js"), project).await;
}

#[tokio::test]
async fn payload_types_typescript() {
    let (_parent, project) = keeps_all("typescript", false).await;
    is_checked(project.join("src/plugin.ts"), project).await;
}

#[tokio::test]
async fn payload_types_python() {
    keeps_all("python", true).await;
}

#[tokio::test]
async fn payload_types_alone() {
    let parent = Directory::create();
    let project = project(&parent, "go").await;
    let said = succeeds(&project, &texts(["types"])).await;
    assert_eq!(said.lines().count(), 1, "{said}");
    let written = fs::read_to_string(project.join("payloads.go")).expect("it was just written");
    assert!(
        said.trim().ends_with("payloads.go")
            && written.contains("type PriceList map[string]float64"),
        "{said}"
    );

    fs::write(
        project.join("schemas/greeting.json"),
        r#"{"type": "object", "properties": {"name": {"not": {}}}}"#,
    )
    .expect("it can be written");
    for command in ["types", "build"] {
        let refused = wasaga(&project, &texts([command])).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        let told = "schemas/greeting.json#/properties/name";
        assert!(
            !refused.status.success() && said.contains(told) && said.lines().count() == 1,
            "{said}"
        );
    }
    fs::remove_dir_all(project.join("schemas")).expect("it is there");
    let none = wasaga(&project, &texts(["types"])).await;
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no schemas/NAME.json"), "{none:?}");
}
