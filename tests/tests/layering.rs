//! Who may know what: the layers of docs/ARCHITECTURE.md, by what `cargo metadata` says.

use std::{path::Path, process::Command};

use serde_json::Value;

/// Packages of these names are known to one member of the workspace, and to applications, which are nobody's layer.
const OWNERS: [(&str, &str); 6] = [
    ("sqlx", "wasaga-store"),
    ("wasmtime", "wasaga-plugin-host"),
    ("rdkafka", "wasaga-kafka"),
    ("apache-avro", "wasaga-codec"),
    ("prost-reflect", "wasaga-codec"),
    ("protox", "wasaga-codec"),
];

/// The workspace's own packages, and which of each other they may know.
const LAYERS: [(&str, &[&str]); 11] = [
    ("wasaga-domain", &[]),
    ("wasaga-store", &["wasaga-domain"]),
    ("wasaga-engine", &["wasaga-domain", "wasaga-store"]),
    ("wasaga-plugin-host", &["wasaga-domain"]),
    (
        "wasaga-harness",
        &[
            "wasaga-domain",
            "wasaga-engine",
            "wasaga-plugin-host",
            "wasaga-services",
            "wasaga-store",
        ],
    ),
    ("wasaga-kafka", &["wasaga-domain", "wasaga-store"]),
    ("wasaga-api", &["wasaga-domain", "wasaga-store"]),
    ("wasaga-codec", &["wasaga-domain"]),
    ("wasaga-egress", &["wasaga-domain"]),
    ("wasaga-client", &["wasaga-domain", "wasaga-store", "wasaga-kafka"]),
    ("wasaga-guest-build", &[]),
];

/// They stand for the programs of those who use wasaga: they know what they like, and of wasaga no more than this.
const APPLICATIONS: [(&str, &[&str]); 2] =
    [("wasaga-example-outbox", &[]), ("wasaga-example-outbox-client", &["wasaga-client"])];

fn packages() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn dependencies(package: &Value, tests_too: bool) -> Vec<&str> {
    let all = package["dependencies"].as_array().into_iter().flatten();
    let counted = all.filter(|dependency| tests_too || dependency["kind"] != "dev");
    counted.filter_map(|dependency| dependency["name"].as_str()).collect()
}

#[test]
fn layering() {
    let packages = packages();
    let mut seen = 0;
    for package in &packages {
        let name = package["name"].as_str().expect("a package has a name");
        let application = APPLICATIONS.iter().find(|(application, _)| *application == name);
        if let Some((_, allowed)) = application {
            let mut known = dependencies(package, true);
            known.retain(|known| known.starts_with("wasaga"));
            assert_eq!(known, *allowed, "{name}");
            continue;
        }
        for known in dependencies(package, true) {
            for (owned, owner) in OWNERS {
                let of_family = known == owned || known.starts_with(&format!("{owned}-"));
                assert!(!of_family || name == owner, "{name} knows {known}: only {owner} may");
                seen += usize::from(of_family);
            }
        }
        let layer = LAYERS.iter().find(|(layer, _)| *layer == name);
        for known in dependencies(package, false) {
            if let Some((_, allowed)) = layer.filter(|_| known.starts_with("wasaga")) {
                assert!(allowed.contains(&known), "{name} knows {known}: it may know {allowed:?}");
            }
        }
    }
    assert!(seen >= OWNERS.len(), "the owners themselves were not seen");
    let members: Vec<_> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert!(LAYERS.iter().all(|(layer, _)| members.contains(layer)), "{members:?}");
}
