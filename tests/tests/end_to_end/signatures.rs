//! Signed modules, where the operator trusts keys: in the directory, and in the database.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_compact::{KeyPair, Seed};
use serde_json::Value;
use uuid::Uuid;
use wasaga_tests::{Host, PATIENCE, World, bytes_of, check::promises, eventually};

/// A key of minisign, and its id.
struct Key {
    pair: KeyPair,
    id: [u8; 8],
}

impl Key {
    fn new() -> Self {
        let chance = || *Uuid::new_v4().as_bytes();
        let seed: [u8; 32] = [chance(), chance()].concat().try_into().expect("two are 32 bytes");
        let id = *chance().first_chunk().expect("16 are more");
        Self { pair: KeyPair::from_seed(Seed::new(seed)), id }
    }

    fn shown_id(&self) -> String {
        format!("{:016X}", u64::from_le_bytes(self.id))
    }

    /// As a configuration has it.
    fn trusted(&self) -> String {
        format!("[\"{}\"]", STANDARD.encode([b"Ed", &self.id[..], &*self.pair.pk].concat()))
    }

    /// What `minisign -S` writes: a signature of the content's hash, and one of that and the comment.
    fn signature(&self, content: &[u8]) -> String {
        let comment = "timestamp:1700000000";
        let sign = |content: &[u8]| self.pair.sk.sign(content, None);
        let signed = sign(blake2b_simd::blake2b(content).as_bytes());
        let of_both = sign(&[&signed[..], comment.as_bytes()].concat());
        format!(
            "untrusted comment: by a test\n{}\ntrusted comment: {comment}\n{}\n",
            STANDARD.encode([b"ED", &self.id[..], &signed[..]].concat()),
            STANDARD.encode(of_both)
        )
    }
}

fn put_signature(world: &World, file: &str, signature: &str) {
    let path = world.plugins.path().join(format!("{file}.wasm.minisig"));
    fs::write(path, signature).expect("the plugin directory can be written");
}

#[tokio::test]
async fn signed_modules_alone_are_taken_where_keys_are_trusted() {
    let world = World::embedded(&["greeting-rust"]).await;
    let (trusted, other) = (Key::new(), Key::new());
    let host = world.host().set("plugins.trusted_keys", trusted.trusted()).start().await;
    let module = bytes_of("greeting-rust");
    // Unsigned, by another key, of another content: refused, and told what to do.
    let reason = host.api.rejects("greeting-rust.wasm").await;
    for told in ["has no signature", "minisign -Sm", &trusted.shown_id()] {
        assert!(reason.contains(told), "{reason}: nothing of {told:?}");
    }
    for (wrong, told) in [
        (other.signature(&module), "does not trust"),
        (trusted.signature(b"another content"), "of another content"),
        ("no signature at all".to_owned(), "none of minisign's"),
    ] {
        put_signature(&world, "greeting-rust", &wrong);
        eventually(format!("it is refused: {told}"), PATIENCE, async || {
            host.api.rejects("greeting-rust.wasm").await.contains(told).then_some(())
        })
        .await;
        assert_eq!(host.api.plugin("greeting").await, None);
    }
    // The right one comes later than its module, and counts.
    put_signature(&world, "greeting-rust", &trusted.signature(&module));
    eventually("the signed module is active", PATIENCE, async || host.api.plugin("greeting").await)
        .await;

    // Whoever takes it from the database checks it too, by keys of its own.
    world.plugins.remove("greeting-rust");
    let same = world.host().set("plugins.trusted_keys", trusted.trusted()).start().await;
    assert!(same.api.plugin("greeting").await.is_some());
    let stranger = world.host().set("plugins.trusted_keys", other.trusted()).start().await;
    let reason = stranger.api.rejects("plugin greeting of the database").await;
    assert!(reason.contains("does not trust"), "{reason}");
    assert_eq!(stranger.api.plugin("greeting").await, None);
    promises(&world).await;
}

#[tokio::test]
async fn an_unsigned_module_of_the_database_is_refused() {
    let world = World::embedded(&["greeting-rust"]).await;
    let careless = world.host().start().await;
    eventually("it is active without keys", PATIENCE, async || {
        careless.api.plugin("greeting").await
    })
    .await;
    let strict = world.host().set("plugins.trusted_keys", Key::new().trusted()).start().await;
    let reason = strict.api.rejects("plugin greeting of the database").await;
    assert!(reason.contains("has no signature"), "{reason}");
    assert_eq!(strict.api.plugin("greeting").await, None);
    let file = world.plugins.path().join("greeting-rust.wasm");
    let said = strict.cli_fails(&["plugins", "check", &file.to_string_lossy()]).await;
    assert!(said.contains("has no signature"), "{said}");
}

/// Signatures that do not do for a module, and what is said of each.
fn wrong(trusted: &Key, other: &Key, module: &[u8]) -> [(Option<String>, &'static str); 4] {
    [
        (None, "has no signature"),
        (Some(other.signature(module)), "does not trust"),
        (Some(trusted.signature(b"another content")), "of another content"),
        (Some("no signature at all".into()), "none of minisign's"),
    ]
}

/// What all hosts run of the plugin probe, and how many of its modules are kept.
async fn state(host: &Host) -> (Value, usize) {
    let probe = host.api.get("/api/v1/plugins/probe").await.ok();
    (probe["active"]["digest"].clone(), probe["modules"].as_array().map_or(0, Vec::len))
}

#[tokio::test]
async fn a_module_that_is_pushed_over_http_has_to_be_signed() {
    let world = World::embedded(&[]).await;
    let (trusted, other) = (Key::new(), Key::new());
    let host = world.host().set("plugins.trusted_keys", trusted.trusted()).start().await;
    let (old, new) = (bytes_of("probe-rust"), bytes_of("probe-v2-rust"));
    let header = |signature: String| STANDARD.encode(signature);

    let pushed = host.api.push(&old, Some(&header(trusted.signature(&old)))).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text);
    let before = state(&host).await;
    assert_eq!(before, (pushed.body["digest"].clone(), 1));
    for (signature, told) in wrong(&trusted, &other, &new) {
        let refused = host.api.push(&new, signature.map(header).as_deref()).await;
        assert_eq!(refused.status, 422, "{told}: {}", refused.text);
        let why = refused.body["detail"].as_str().unwrap_or_default();
        assert!(why.contains(told), "{why}: nothing of {told:?}");
        assert_eq!(state(&host).await, before, "{told}");
    }
    let unread = host.api.push(&new, Some("not base64")).await;
    assert_eq!(unread.status, 400, "{}", unread.text);
    assert_eq!(host.api.plugin("probe").await.map(|probe| probe["digest"].clone()), Some(before.0));

    let pushed = host.api.push(&new, Some(&header(trusted.signature(&new)))).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text);
    assert_eq!(state(&host).await, (pushed.body["digest"].clone(), 2));
    promises(&world).await;
}

#[tokio::test]
async fn a_module_that_is_pushed_by_the_command_line_has_to_be_signed() {
    let world = World::embedded(&[]).await;
    let (trusted, other) = (Key::new(), Key::new());
    let host = world.host().set("plugins.trusted_keys", trusted.trusted()).start().await;
    let (old, new) = (bytes_of("probe-rust"), bytes_of("probe-v2-rust"));
    let file = world.file("probe.wasm", "");
    let sign = |signature: &str| world.file("probe.wasm.minisig", signature);

    fs::write(&file, &old).expect("it is the test's own");
    sign(&trusted.signature(&old));
    host.cli(&["plugins", "push", &file]).await;
    let before = state(&host).await;
    assert_eq!(before.1, 1);

    fs::write(&file, &new).expect("it is the test's own");
    for (signature, told) in wrong(&trusted, &other, &new) {
        match &signature {
            Some(signature) => drop(sign(signature)),
            None => fs::remove_file(format!("{file}.minisig")).expect("it is there"),
        }
        let said = host.cli_fails(&["plugins", "push", &file]).await;
        assert!(said.contains(told), "{said}: nothing of {told:?}");
        assert_eq!(state(&host).await, before, "{told}");
    }

    sign(&trusted.signature(&new));
    host.cli(&["plugins", "push", &file]).await;
    let after = state(&host).await;
    assert!(after.0 != before.0 && after.1 == 2, "{after:?}");
    eventually("the host runs it", PATIENCE, async || {
        let probe = host.api.plugin("probe").await?;
        (probe["digest"] == after.0).then_some(())
    })
    .await;
    promises(&world).await;
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::embedded(&[]).await;
    let mut host = world.host().set("plugins.trusted_keys", "[\"RWnonsense\"]").spawn();
    assert_eq!(host.ended(PATIENCE).await.code(), Some(2));
    assert!(
        host.log().contains("plugins.trusted_keys: \"RWnonsense\" is no public key"),
        "{}",
        host.log()
    );
}
