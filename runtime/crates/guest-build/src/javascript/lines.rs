//! Which line of a bundle is which of the project's own, for the SDK, which tells where something was thrown.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::json;
use sourcemap::SourceMap;

use crate::Project;

/// Appends the table to the bundle, by the source map that esbuild has left beside it.
pub(super) fn append(project: &Project, bundle: &Path) -> Result<()> {
    let map = bundle.with_extension("js.map");
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let map = SourceMap::from_slice(&read(&map)?).context("esbuild's source map can't be read")?;
    let directory = bundle.parent().context("a bundle is in a directory")?;
    let own = |source: &str| own(&project.directory, &project.sdk, &directory.join(source));
    let mut bundled = read(bundle)?;
    bundled.extend(table(&map, own).into_bytes());
    fs::write(bundle, bundled).with_context(|| format!("cannot write {}", bundle.display()))
}

/// The name of a source in the project, where it is the project's own.
fn own(project: &Path, sdk: &Path, source: &Path) -> Option<String> {
    let [source, directory, sdk] = [source, project, sdk].map(|path| fs::canonicalize(path).ok());
    let (source, directory, sdk) = (source?, directory?, sdk?);
    let inner = source.strip_prefix(directory).ok()?;
    let is_own = !source.starts_with(sdk) && !inner.starts_with("node_modules");
    is_own.then(|| inner.display().to_string())
}

/// A statement: the names of own files, and for each line of theirs three numbers: its line in the bundle, its file's place
/// among them, its line there. Lines count from 1.
fn table(map: &SourceMap, own: impl Fn(&str) -> Option<String>) -> String {
    let sources: Vec<_> = map.sources().map(own).collect();
    let files: Vec<_> = sources.iter().flatten().collect();
    let mut lines: Vec<u32> = Vec::new();
    for token in map.tokens() {
        let line = token.get_dst_line() + 1;
        let name = sources.get(token.get_src_id() as usize).and_then(Option::as_ref);
        let file = name.and_then(|name| files.iter().position(|file| *file == name));
        // A line's first statement is the line's.
        if let Some(file) = file
            && lines.len().checked_sub(3).is_none_or(|last| lines[last] != line)
        {
            lines.extend([line, file as u32, token.get_src_line() + 1]);
        }
    }
    format!("\nglobalThis.wasagaLines = {};\n", json!({ "files": files, "lines": lines }))
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn a_projects_own_sources_are_not_what_it_is_built_with() {
        let base = env::temp_dir().join(format!("wasaga-lines-{}", process::id()));
        let (project, elsewhere) = (base.join("project"), base.join("elsewhere"));
        let sdk = project.join("sdk/javascript");
        for made in [&sdk, &project.join("build")] {
            fs::create_dir_all(made).expect("it can be made");
        }
        for (directory, file, expected) in [
            (&project, "src/plugin.ts", Some("src/plugin.ts")),
            (&project, "sdk/javascript/src/index.js", None),
            (&project, "node_modules/left/index.js", None),
            (&elsewhere, "shared.ts", None),
        ] {
            let source = directory.join(file);
            fs::create_dir_all(source.parent().expect("it is in one")).expect("it can be made");
            fs::write(&source, "").expect("it can be written");
            let told = project.join("build/../..").join(source.strip_prefix(&base).expect("in it"));
            assert_eq!(own(&project, &sdk, &told).as_deref(), expected, "{file}");
        }
        fs::remove_dir_all(base).expect("it is there");
    }

    #[test]
    fn a_line_is_told_by_its_first_statement() {
        // Of esbuild: lines 2 and 3 are of sdk.js, 5 (with two statements) and 6 of src/plugin.js.
        let map = json!({
            "version": 3,
            "sources": ["../sdk.js", "../src/plugin.js"],
            "names": [],
            "mappings": ";AAAA;AACA;;ACEA,IAAI;AAGJ;",
        });
        let map = SourceMap::from_slice(map.to_string().as_bytes()).expect("a source map");
        let own = |source: &str| source.strip_prefix("../src/").map(str::to_owned);
        assert_eq!(
            table(&map, own),
            "\nglobalThis.wasagaLines = {\"files\":[\"plugin.js\"],\"lines\":[5,0,4,6,0,7]};\n"
        );
    }
}
