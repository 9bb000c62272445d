//! Where Postgres's programs are: the machine's own, or a packaged archive.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wasaga_guest_build::programs::{find_binary, install_debian_packages, run};
use wasaga_guest_build::{filled_once, user_cache};

use crate::account::{Account, open_to_all};
use crate::java::{self, Jars};

const PACKAGED_VERSION: &str = "17.5.0";
/// The packaged archive when Postgres runs as another user than this one, who cannot read root's
/// home.
const SHARED_CACHE: &str = "/var/cache/wasaga";

/// The directory of initdb and postgres. In this order: `WASAGA_PG_BIN`, PATH, Debian's
/// directories (newest version), the packaged archive. `WASAGA_POSTGRES=packaged` takes the
/// archive at once.
pub(super) fn locate(account: Option<&Account>) -> Result<PathBuf> {
    match std::env::var("WASAGA_POSTGRES").as_deref() {
        Err(_) | Ok("") => {}
        Ok("packaged") => return packaged(account),
        Ok(other) => bail!("WASAGA_POSTGRES is `{other}`: only `packaged` is known, or unset it"),
    }
    if let Some(directory) = std::env::var_os("WASAGA_PG_BIN").map(PathBuf::from) {
        if !usable(&directory, account) {
            bail!(
                "WASAGA_PG_BIN is {}: initdb and postgres must be there{}",
                directory.display(),
                if account.is_some() {
                    ", readable by all users as root may not run them"
                } else {
                    ""
                }
            );
        }
        return Ok(directory);
    }
    let installed = on_path().into_iter().chain(debian_directories());
    match installed.into_iter().find(|directory| usable(directory, account)) {
        Some(directory) => Ok(directory),
        None => packaged(account),
    }
}

fn usable(directory: &Path, account: Option<&Account>) -> bool {
    ["initdb", "postgres"].iter().all(|name| {
        let program = directory.join(name);
        program.is_file() && (account.is_none() || open_to_all(&program))
    })
}

/// Links are followed: the directory they point to has the other programs too.
fn on_path() -> Option<PathBuf> {
    Some(find_binary("initdb")?.canonicalize().ok()?.parent()?.to_owned())
}

/// `/usr/lib/postgresql/VERSION/bin`, newest first.
fn debian_directories() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

fn packaged(account: Option<&Account>) -> Result<PathBuf> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64v8",
        other => bail!("no packaged Postgres for {other}: install Postgres, or set WASAGA_PG_BIN"),
    };
    let cache = if account.is_some() { PathBuf::from(SHARED_CACHE) } else { user_cache()? };
    let name = format!("postgres-{PACKAGED_VERSION}-{architecture}");
    let installed = filled_once(&cache, &name, |directory| fetch(architecture, directory))
        .context("cannot fetch the packaged Postgres: install Postgres, or set WASAGA_PG_BIN")?;
    Ok(installed.join("bin"))
}

/// Unpacks the jar, which holds one .txz, which holds the programs.
fn fetch(architecture: &str, directory: &Path) -> Result<()> {
    if find_binary("xz").is_none() && !install_debian_packages(&["xz-utils"])? {
        bail!("xz is needed to unpack Postgres: install it (Debian: apt-get install xz-utils)");
    }
    let jar = directory.join("jar");
    fs::create_dir(&jar).with_context(|| format!("cannot make {}", jar.display()))?;
    let artifact = format!("embedded-postgres-binaries-linux-{architecture}");
    let archive = ("io.zonky.test.postgres", artifact.as_str(), PACKAGED_VERSION);
    java::fetch(&jar, &[archive], Jars::Unpacked)?;
    let archive = fs::read_dir(&jar)
        .with_context(|| format!("cannot read {}", jar.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "txz"))
        .context("the packaged Postgres holds no .txz archive")?;
    run(Command::new("tar")
        .args(["--extract", "--xz", "--no-same-owner", "--preserve-permissions", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(directory))?;
    fs::remove_dir_all(&jar).context("cannot remove the unpacked jar")?;
    // Root's umask may hide what another account has to run.
    for opened in [directory.parent(), Some(directory)].into_iter().flatten() {
        fs::set_permissions(opened, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot open {} to all users", opened.display()))?;
    }
    Ok(())
}
