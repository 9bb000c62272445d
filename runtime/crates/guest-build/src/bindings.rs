//! `guest.h` and `guest.c`: C bindings, under the same names for every world.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use wit_bindgen_core::{
    Files,
    wit_parser::{Resolve, WorldItem},
};

/// What the generated files and their names begin with.
const NAME: &str = "guest";

/// Writes them, and returns the names of the interfaces that the world exports.
pub(crate) fn write(wit: &Path, world: &str, out_dir: &Path) -> Result<Vec<String>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let interface = |export: &WorldItem| match export {
        WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone(),
        _ => None,
    };
    let exports = resolve.worlds[world].exports.values().filter_map(interface).collect();
    let options =
        wit_bindgen_c::Opts { rename_world: Some(NAME.into()), ..wit_bindgen_c::Opts::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(out_dir)?;
    for (name, content) in files.iter() {
        let path = out_dir.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(exports)
}
