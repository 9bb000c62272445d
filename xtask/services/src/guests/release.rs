//! The files of a release: components, and a file with the SHA-256 of each. Who has no toolchain takes them from there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wasaga_guest_build::place;
use wasaga_guest_build::programs::{bytes_of, find_binary, install_debian_packages};

use super::{Built, Guest, missing};

/// As `sha256sum` writes and checks it.
const SUMS: &str = "SHA256SUMS";
/// How long one file may take: a component with Python in it is 18 MB.
const FETCH_SECONDS: &str = "600";

/// Where the files of this version's release are.
#[derive(Clone, Debug)]
pub struct Release {
    /// As `0.1.0`.
    pub version: String,
    /// A directory or a URL.
    pub place: String,
}

/// What a workspace's Cargo.toml says of all its packages.
#[derive(Deserialize)]
struct Manifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    version: String,
    repository: Option<String>,
}

impl Release {
    /// The release of the source tree's version: in the directory or at the URL that is `chosen`, or else where its
    /// `workspace.package.repository` has the files of releases. None where neither is known.
    pub fn of(root: &Path, chosen: Option<String>) -> Result<Option<Self>> {
        let path = root.join("Cargo.toml");
        let wrong = || format!("cannot read version and repository of {}", path.display());
        let text = fs::read_to_string(&path).with_context(wrong)?;
        let Manifest { workspace: Workspace { package } } =
            toml::from_str(&text).with_context(wrong)?;
        let Package { version, repository } = package;
        let of_repository = |repository: String| {
            format!("{}/releases/download/v{version}", repository.trim_end_matches('/'))
        };
        let place = chosen.filter(|place| !place.is_empty()).or(repository.map(of_repository));
        Ok(place.map(|place| Self { version, place }))
    }

    fn take(&self, name: &str, sums: &Sums, out_dir: &Path) -> Result<()> {
        let file = format!("{name}.wasm");
        let Some(expected) = sums.0.get(&file) else {
            bail!("{SUMS} of {} does not name {file}: it is of another release", self.place);
        };
        let component = self.read(&file)?;
        let found = sum(&component);
        if found != *expected {
            bail!(
                "{file} of {} is not what its {SUMS} names: its SHA-256 is {found}, and not {expected}",
                self.place
            );
        }
        let path = out_dir.join(&file);
        place(&component, &path).with_context(|| format!("{file} of {}", self.place))?;
        let _ = fs::remove_file(missing(name, out_dir));
        Ok(())
    }

    fn read(&self, file: &str) -> Result<Vec<u8>> {
        let place = self.place.trim_end_matches('/');
        if place.starts_with("https://") || place.starts_with("http://") {
            return fetch(&format!("{place}/{file}"));
        }
        let path = Path::new(place).join(file);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

impl Built {
    /// Takes from the release what is not built as its toolchain is not here, and says so: a line for each. A build that
    /// failed is an error, and so is a toolchain that is missed where there is no release.
    pub fn or_released(&self, release: Option<&Release>, out_dir: &Path) -> Result<Vec<String>> {
        if let Some(failed) = self.unbuilt.iter().find(|guest| !guest.no_toolchain) {
            bail!("{} is not built: {}", failed.name, failed.reason);
        }
        if self.unbuilt.is_empty() {
            return Ok(Vec::new());
        }
        let reasons = self.unbuilt.iter().map(|guest| format!("{}: {}", guest.name, guest.reason));
        let Some(release) = release else {
            bail!(
                "{}; or set WASAGA_RELEASE to the directory or URL of a release's files",
                reasons.collect::<Vec<_>>().join("; ")
            );
        };
        let sums = Sums::read(release)?;
        for guest in &self.unbuilt {
            release.take(&guest.name, &sums, out_dir)?;
        }
        let Release { version, place } = release;
        let line = |reason| format!("{reason}; taken from the release {version}: {place}");
        Ok(reasons.map(line).collect())
    }
}

/// Writes the file with the sums of these guests, which lie in `directory`: with it they are a release.
pub fn write_sums(guests: &[Guest], directory: &Path) -> Result<PathBuf> {
    let line = |Guest { name, path, .. }: &Guest| {
        let component =
            fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(format!("{}  {name}.wasm\n", sum(&component)))
    };
    let lines = guests.iter().map(line).collect::<Result<String>>()?;
    let path = directory.join(SUMS);
    fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The SHA-256 of each file of a release.
struct Sums(BTreeMap<String, String>);

impl Sums {
    fn read(release: &Release) -> Result<Self> {
        let text = String::from_utf8(release.read(SUMS)?);
        let wrong = || format!("{SUMS} of {} is not as sha256sum writes it", release.place);
        let line = |line: &str| {
            let (sum, file) = line.split_once([' ', '\t'])?;
            Some((file.trim_start_matches([' ', '*']).to_owned(), sum.to_ascii_lowercase()))
        };
        let sums = text.with_context(wrong)?.lines().map(line).collect::<Option<_>>();
        sums.map(Self).with_context(wrong)
    }
}

fn sum(component: &[u8]) -> String {
    format!("{:x}", Sha256::digest(component))
}

/// Fetches one file. By a program of the machine: what runs before all else is built has no TLS of its own.
fn fetch(url: &str) -> Result<Vec<u8>> {
    if find_binary("curl").is_none() && !install_debian_packages(&["curl"])? {
        bail!(
            "curl is needed to fetch {url}: install it (Debian: apt-get install curl), or set WASAGA_RELEASE to a \
             directory with a release's files"
        );
    }
    eprintln!("fetching {url}");
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location", "--max-time", FETCH_SECONDS]);
    bytes_of(curl.arg("--").arg(url)).with_context(|| format!("cannot fetch {url}"))
}
