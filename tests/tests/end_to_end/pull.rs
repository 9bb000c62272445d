//! `wasaga plugins pull`, from a registry that speaks as much of the distribution API as a pull asks for.

use std::{collections::HashMap, fs, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wasaga_tests::{PATIENCE, World, bytes_of, eventually};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Blobs by what the registry claims is their digest, and manifests by their tags.
#[derive(Clone, Default)]
struct Registry {
    blobs: HashMap<String, Vec<u8>>,
    manifests: HashMap<String, Vec<u8>>,
}

impl Registry {
    fn blob(&mut self, media_type: &str, title: &str, content: &[u8]) -> Value {
        let digest = digest(content);
        self.blobs.insert(digest.clone(), content.to_owned());
        json!({"mediaType": media_type, "digest": digest, "size": content.len(),
               "annotations": {"org.opencontainers.image.title": title}})
    }

    fn artifact(&mut self, tag: &str, layers: &[Value]) {
        let config = self.blob("application/vnd.wasm.config.v0+json", "config", b"{}");
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.manifests.insert(tag.to_owned(), manifest.to_string().into_bytes());
    }

    /// Serves it; its address.
    async fn serve(self) -> String {
        let app = Router::new()
            .route("/v2/", get(async || StatusCode::OK))
            .route("/v2/shop/{name}/manifests/{tag}", get(manifest))
            .route("/v2/shop/{name}/blobs/{digest}", get(blob))
            .with_state(Arc::new(self));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens").to_string();
        tokio::spawn(async { axum::serve(listener, app).await });
        address
    }
}

async fn manifest(
    State(registry): State<Arc<Registry>>,
    Path((_, tag)): Path<(String, String)>,
) -> Response {
    match registry.manifests.get(&tag) {
        Some(manifest) => ([(CONTENT_TYPE, MANIFEST)], manifest.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn blob(
    State(registry): State<Arc<Registry>>,
    Path((_, digest)): Path<(String, String)>,
) -> Response {
    match registry.blobs.get(&digest) {
        Some(blob) => blob.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

#[tokio::test]
async fn a_plugin_is_pulled_from_a_registry() {
    let module = bytes_of("greeting-rust");
    let mut registry = Registry::default();
    let good = registry.blob("application/wasm", "greeting.wasm", &module);
    let signature = registry.blob("text/plain", "greeting.wasm.minisig", b"a signature");
    registry.artifact("1", &[good.clone(), signature]);
    registry.artifact("two", &[good, registry.clone().blob("application/wasm", "b", b"b")]);
    let text = registry.blob("application/wasm", "text", b"a text");
    registry.artifact("text", &[text]);
    let torn = registry.blob("application/wasm", "torn", b"as it was pushed");
    registry.artifact("torn", &[torn]);
    registry.blobs.insert(digest(b"as it was pushed"), b"as somebody made it".to_vec());
    let address = registry.serve().await;

    let world = World::embedded(&[]).await;
    let host = world.host().start().await;
    let reference = |tag: &str| format!("{address}/shop/greeting:{tag}");
    for (tag, told) in [
        ("two", "holds 2 WebAssembly modules"),
        ("text", "no WebAssembly component"),
        ("torn", "igest"),
        ("none", "can't be pulled"),
    ] {
        let said = host.cli_fails(&["plugins", "pull", "--plain-http", &reference(tag)]).await;
        assert!(said.contains(told), "{tag}: {said}");
    }
    assert!(!world.plugins.path().join("greeting.wasm").exists());

    // Into the plugin directory, where the host finds it.
    let said = host.cli(&["plugins", "pull", "--plain-http", &reference("1")]).await;
    assert!(said.contains(&digest(&module)), "{said}");
    let active = eventually("it is active", PATIENCE, async || host.api.plugin("greeting").await);
    assert_eq!(active.await["digest"], digest(&module));
    let signature = world.plugins.path().join("greeting.wasm.minisig");
    assert_eq!(fs::read(signature).expect("it came along"), b"a signature");
}
