//! Types of payloads: what is written for each language, and what is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wasaga_guest_build::Project;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// A project of this language, in a directory of the test's own, without anything but schemas.
fn project(test: &str, language: &str, schemas: &[(&str, &str)]) -> Project {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{language}"));
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("it is this test's");
    }
    for part in ["src", "schemas"] {
        fs::create_dir_all(directory.join(part)).expect("it can be made");
    }
    let said = format!("language = \"{language}\"\nworld = \"saga-plugin\"\n");
    fs::write(directory.join("plugin.toml"), said).expect("it can be written");
    for (name, schema) in schemas {
        fs::write(directory.join("schemas").join(name), schema).expect("it can be written");
    }
    Project::read(&directory).expect("it is a project").expect("it has a plugin.toml")
}

fn is_as_expected(language: &str, files: &[&str]) {
    let read =
        |name: &str| fs::read_to_string(format!("{HERE}/schemas/{name}")).expect("it is there");
    let schemas = ["greeting.json", "price-list.json"].map(|name| (name, read(name)));
    let schemas = schemas.each_ref().map(|(name, text)| (*name, &**text));
    let project = project("expected", language, &schemas);
    let written = project.write_types().expect("all of it has a type");
    assert_eq!(written, files.iter().map(PathBuf::from).collect::<Vec<_>>());
    for file in written {
        let name = file.file_name().expect("it is a file").to_string_lossy();
        let text = fs::read_to_string(project.directory.join(&file)).expect("it was just written");
        let expected = fs::read_to_string(format!("{HERE}/expected/{name}")).expect("it is there");
        assert!(text == expected, "{name} is not as expected, but:\n{text}");
    }
}

#[test]
fn rust_has_structs_with_serde() {
    is_as_expected("rust", &["src/payloads.rs"]);
}

#[test]
fn c_has_structs_and_tables() {
    is_as_expected("c", &["src/payloads.h", "src/payloads.c"]);
}

#[test]
fn go_has_structs_with_tags() {
    is_as_expected("go", &["payloads.go"]);
}

#[test]
fn javascript_has_interfaces() {
    is_as_expected("javascript", &["src/payloads.d.ts"]);
}

#[test]
fn python_has_dataclasses() {
    is_as_expected("python", &["src/payloads.py"]);
}

#[test]
fn what_has_no_type_is_refused_with_its_place() {
    let refused = [
        (
            r#"{"type": "object", "properties": {"a": {"type": "string", "allOf": []}}}"#,
            "#/properties/a/allOf: no type says this",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"description": "?"}}}"#,
            "#/properties/a: say its `type`",
        ),
        (
            r#"{"type": "object", "properties": {"a/b": {"type": "object"}}}"#,
            "#/properties/a~1b: say by `properties`",
        ),
        (
            r#"{"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}"#,
            "#/additionalProperties: an object has",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"type": ["string", "integer"]}}}"#,
            "#/properties/a/type: only one type",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}}"#,
            "#/properties/a/anyOf: only a choice",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"enum": [1, 2]}}}"#,
            "#/properties/a/enum: 1 is no text",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"const": []}}}"#,
            "#/properties/a/const: only a text",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"type": "null"}}}"#,
            "#/properties/a/type: \"null\" alone",
        ),
        (
            r#"{"type": "object", "properties": {"a": false}}"#,
            "#/properties/a: no value fits `false`",
        ),
        (r#"{"type": "array"}"#, "#: say by `items`"),
        (r#"{"type": "string"}"#, "#: a payload is an object, an array or an enum"),
        (
            r#"{"type": "object", "properties": {"a": {"$ref": "other.json"}}}"#,
            "#/properties/a/$ref: \"other.json\" is no",
        ),
        (
            r##"{"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}"##,
            "#/properties/a/$ref: there is no \"#/$defs/b\"",
        ),
        (
            r##"{"type": "array", "items": {"$ref": "#/$defs/a"},
                "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}"##,
            "#/$defs/a/items/$ref: \"#/$defs/a\" holds itself",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]}"#,
            "#/required: `properties` has no \"b\"",
        ),
        (
            r#"{"type": "object", "properties": {"a b": true, "a-b": true}}"#,
            "#/properties: \"a b\" and \"a-b\" are both AB in code",
        ),
        (
            r#"{"type": "object", "properties": {"größe": true}}"#,
            "#/properties: no name in code can be made of \"größe\"",
        ),
        (
            r#"{"type": "object", "properties": {"a": true, "a": true}}"#,
            "#/properties: \"a\" is there twice",
        ),
        (
            r##"{"type": "object", "properties": {"a": {"enum": ["x"]}, "b": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"enum": ["x"]}}}"##,
            "#/$defs/a: its type would be OrderA, as is that of schemas/order.json#/properties/a",
        ),
        (r#"{"type": "object""#, ": EOF while parsing an object at line 1"),
    ];
    for (schema, told) in refused {
        let project = project("refused", "go", &[("order.json", schema)]);
        let error = project.write_types().expect_err(schema);
        let (said, told) = (format!("{error:#}"), format!("schemas/order.json{told}"));
        assert!(said.starts_with(&told), "{said:?}, and not {told:?}");
        assert!(!project.directory.join("payloads.go").exists(), "{schema}");
    }
}

#[test]
fn only_what_was_generated_is_replaced() {
    let schema = r#"{"type": "object", "properties": {"a": {"type": "string"}}}"#;
    let project = project("replaced", "python", &[("order.json", schema)]);
    let file = project.directory.join("src/payloads.py");
    fs::write(&file, "class Order: ...\n").expect("it can be written");
    let error = project.write_types().expect_err("somebody wrote it").to_string();
    assert!(error.contains("src/payloads.py is in the way"), "{error}");
    fs::remove_file(&file).expect("it is there");

    project.write_types().expect("nothing is in the way");
    let changed = || fs::metadata(&file).and_then(|file| file.modified()).expect("it is there");
    let first = changed();
    project.write_types().expect("it is its own");
    assert_eq!(changed(), first, "what is as it should be is not written again");
    fs::write(project.directory.join("schemas/order.json"), schema.replace("\"a\"", "\"b\""))
        .expect("it can be written");
    project.write_types().expect("it is its own");
    assert!(fs::read_to_string(&file).expect("it is there").contains("b: str"));
    assert!(
        project.has_types_in(&file)
            && !project.has_types_in(&project.directory.join("src/plugin.py"))
    );
}
