//! `wasaga plugins pull`: a plugin out of an OCI registry.

use std::{env, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};
use wasaga_domain::ids::Digest;
use wasaga_guest_build::place;

use crate::config::Config;

/// The name of a layer's file.
const TITLE: &str = "org.opencontainers.image.title";
/// Who asks; without it nobody in particular does.
const USER: &str = "OCI_USER";
const PASSWORD: &str = "OCI_PASSWORD";

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// As ghcr.io/shop/billing:1.2, or with @sha256:… behind it
    reference: Reference,
    /// Where it is written [default: a file of the repository's name in plugins.dir]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The registry speaks HTTP, and not HTTPS
    #[arg(long)]
    plain_http: bool,
}

impl Pull {
    /// The user's name is read from `OCI_USER`, the password from `OCI_PASSWORD`.
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        let out = match (self.out, &config.plugins.dir) {
            (Some(out), _) => out,
            (None, Some(directory)) => {
                let name = self.reference.repository().rsplit('/').next().unwrap_or_default();
                directory.join(format!("{name}.wasm"))
            }
            (None, None) => bail!("where to? name a file by --out, or set plugins.dir"),
        };
        let protocol = if self.plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
        let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
        let auth = match env::var(USER) {
            Ok(user) => RegistryAuth::Basic(user, env::var(PASSWORD).unwrap_or_default()),
            Err(_) => RegistryAuth::Anonymous,
        };
        let reference = &self.reference;
        let cannot = || format!("{reference} can't be pulled ({USER} and {PASSWORD} say who asks)");
        let (manifest, _) =
            client.pull_image_manifest(reference, &auth).await.with_context(cannot)?;
        let modules: Vec<_> = manifest.layers.iter().filter(|layer| is_module(layer)).collect();
        let [module] = modules[..] else {
            bail!("{reference} holds {} WebAssembly modules: a plugin is one", modules.len());
        };
        let signature = manifest.layers.iter().find(|layer| is_signature(layer));
        // The signature first: the module is taken as soon as it is there.
        for (layer, path) in [(signature, with_signature(&out)), (Some(module), out.clone())] {
            let Some(layer) = layer else { continue };
            let mut bytes = Vec::new();
            // Its digest is checked against the manifest's.
            client.pull_blob(reference, layer, &mut bytes).await.with_context(cannot)?;
            if path == out {
                let digest = Digest::of(&bytes);
                place(&bytes, &path)?;
                println!("{} ({digest})", path.display());
            } else {
                std::fs::write(&path, &bytes)
                    .with_context(|| format!("{} can't be written", path.display()))?;
            }
        }
        Ok(())
    }
}

fn with_signature(module: &std::path::Path) -> PathBuf {
    let mut path = module.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

/// `application/wasm`, and the types that older tools give.
fn is_module(layer: &OciDescriptor) -> bool {
    layer.media_type.contains("wasm") && !is_signature(layer)
}

fn is_signature(layer: &OciDescriptor) -> bool {
    let titles = layer.annotations.as_ref().and_then(|annotations| annotations.get(TITLE));
    titles.is_some_and(|title| title.ends_with(".minisig"))
}
