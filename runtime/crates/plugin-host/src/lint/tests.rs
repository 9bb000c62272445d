//! Each rule, by a manifest that breaks it.

use serde_json::{Value, json};

use super::*;

/// Steps one after another: two that can be undone, a pivot, and one that is tried without end.
fn good() -> Value {
    let again = json!({"fixed": {"delay_ms": 100, "max_attempts": 3}});
    let undo = json!({"undo": {"retry": again, "timeout_ms": 1000}});
    let step = |name: &str| json!({"name": name, "timeout_ms": 1000, "retry": again, "compensation": undo});
    json!({
        "name": "trip", "version": "1.0.0", "steps": ["flight", "hotel", "pay", "tell"],
        "sagas": [{
            "name": "trip", "version": 1, "deadline_ms": 60000,
            "steps": [
                step("flight"), step("hotel"),
                {"name": "pay", "timeout_ms": 1000, "retry": again, "pivot": true},
                {"name": "tell", "timeout_ms": 1000, "retry": {"fixed": {"delay_ms": 100}}},
            ],
        }],
        "capabilities": {"topics": ["trips.*"]},
    })
}

fn granted() -> Grants {
    Grants { grant_all: true, ..Grants::default() }
}

fn findings(manifest: Value, overrides: &Overrides, grants: &Grants) -> Vec<String> {
    let manifest = serde_json::from_value(manifest).expect("a manifest");
    lint(&manifest, overrides, grants).iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_is_found_in_a_good_one() {
    assert_eq!(findings(good(), &Overrides::new(), &granted()), Vec::<String>::new());
}

#[test]
fn each_rule_names_its_place() {
    let exponential = |initial: u64, longest: u64, attempts: Value| {
        json!({"exponential": {"initial_ms": initial, "multiplier": 2.0, "max_delay_ms": longest,
            "max_attempts": attempts, "jitter": 0.5}})
    };
    let cases = [
        (
            "/sagas/0/steps/1/compensation",
            json!("none"),
            r#"warning: saga "trip", step "hotel": it has no undo"#,
        ),
        (
            "/sagas/0/steps/3/compensation",
            good()["sagas"][0]["steps"][0]["compensation"].clone(),
            r#"warning: saga "trip", step "tell": its undo never runs: past the pivot "pay""#,
        ),
        (
            "/sagas/0/steps/3/guarded",
            json!(true),
            r#"warning: saga "trip", step "tell": its guard may reject it"#,
        ),
        (
            "/sagas/0/steps/3/retry",
            json!({"never": {}}),
            r#"warning: saga "trip", step "tell": its retry ends after 1"#,
        ),
        (
            "/sagas/0/steps/3/pivot",
            json!(true),
            r#"warning: saga "trip", step "tell": the saga is past its pivot "pay" already"#,
        ),
        (
            "/sagas/0/steps/1/after",
            json!([]),
            r#"error: saga "trip", step "flight": it runs beside the pivot "pay""#,
        ),
        (
            "/sagas/0/steps/0/after",
            json!(["tell"]),
            r#"error: saga "trip": steps flight, hotel, pay, tell wait for each other"#,
        ),
        (
            "/sagas/0/deadline_ms",
            json!(1000),
            r#"warning: saga "trip", step "flight": its timeout_ms (1000) is never reached"#,
        ),
        (
            "/sagas/0/steps/0/retry",
            json!({"fixed": {"delay_ms": 9, "max_attempts": 1}}),
            r#"warning: saga "trip", step "flight": retry names a delay for a second attempt"#,
        ),
        (
            "/sagas/0/steps/0/retry",
            exponential(10, 100, json!(1)),
            r#"warning: saga "trip", step "flight": retry names delays, and there is one attempt only"#,
        ),
        (
            "/sagas/0/steps/0/compensation/undo/retry",
            exponential(100, 100, json!(5)),
            r#"warning: saga "trip", step "flight": the undo's retry never grows"#,
        ),
        ("/steps/4", json!("lonely"), r#"warning: step "lonely": no saga of this plugin runs it"#),
    ];
    for (pointer, value, expected) in cases {
        let mut manifest = good();
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        match manifest.pointer_mut(parent).expect("the good manifest has this place") {
            Value::Array(list) => list.push(value),
            place => place[field] = value,
        }
        let findings = findings(manifest, &Overrides::new(), &granted());
        assert!(
            findings.iter().any(|found| found.starts_with(expected)),
            "{pointer}: {findings:#?}"
        );
    }
}

#[test]
fn a_second_branch_is_before_the_pivot_through_others() {
    let mut manifest = good();
    let steps = &mut manifest["sagas"][0]["steps"];
    steps[1]["after"] = json!([]);
    steps[2]["after"] = json!(["flight", "hotel"]);
    assert_eq!(findings(manifest, &Overrides::new(), &granted()), Vec::<String>::new());
}

#[test]
fn what_is_not_granted_is_listed_whole() {
    let mut manifest = good();
    manifest["capabilities"] = json!({"sql": true, "topics": ["trips.*", "audit"]});
    let findings = findings(manifest, &Overrides::new(), &Grants::default());
    for (finding, told) in findings.iter().zip(["sql", "topic trips.*", "topic audit"]) {
        let expected = format!("error: plugin trip asks for {told}, which is not granted");
        assert!(finding.starts_with(&expected), "{findings:#?}");
    }
    assert_eq!(findings.len(), 3);
}

#[test]
fn an_override_of_no_step_is_found() {
    let changes = json!({"trip": {"steps": {"hotle": {"timeout_ms": 5}}}});
    let overrides = serde_json::from_value(changes).expect("overrides");
    let findings = findings(good(), &overrides, &granted());
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].contains("[definitions.trip.steps.hotle]"), "{findings:#?}");
}
