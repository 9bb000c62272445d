//! A component of a core module, without an import of WASI.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// WASI preview 1 on the host's own interfaces.
const PREVIEW1: &str = include_str!("preview1.wat");
/// What it imports.
const PREVIEW1_WORLD: &str = "
package wasaga:preview1;

world adapter {
    import wasaga:plugin/ambient@0.1.0;
    import wasaga:plugin/logging@0.1.0;
}
";

pub(crate) fn write(module: &Path, wit: &Path, world: &str, out: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut core = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;

    let package = resolve.push_str("preview1.wit", PREVIEW1_WORLD)?;
    let world = resolve.select_world(&[package], Some("adapter"))?;
    let mut preview1 = wat::parse_str(PREVIEW1)?;
    embed_component_metadata(&mut preview1, &resolve, world, StringEncoding::UTF8)?;

    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(&core)?.adapter("wasi_snapshot_preview1", &preview1)?;
    let component = encoder.encode()?;
    fs::write(out, component).with_context(|| format!("cannot write {}", out.display()))
}
