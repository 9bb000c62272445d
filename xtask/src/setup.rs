//! Programs of the machine that the commands need: installed where that is possible, else named.

use anyhow::{Result, bail};
use wasaga_services::{find_binary, install_debian_packages};

/// A program, and the Debian package that has it.
type Need = (&'static str, &'static str);

/// What building the host takes beside Rust: librdkafka is C and brings a Makefile.
pub const BUILD: [Need; 3] = [("cc", "gcc"), ("c++", "g++"), ("make", "make")];
/// What Apache Kafka and its download take.
pub const KAFKA: [Need; 2] = [("java", "default-jre-headless"), ("mvn", "maven")];

/// Installs the Debian packages of the programs that are missing.
pub fn ensure(needs: impl IntoIterator<Item = Need>) -> Result<()> {
    let missing: Vec<Need> =
        needs.into_iter().filter(|(program, _)| find_binary(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (programs, packages): (Vec<_>, Vec<_>) = missing.iter().copied().unzip();
    if !install_debian_packages(&packages)? {
        let (programs, packages) = (programs.join(", "), packages.join(" "));
        bail!("not on PATH: {programs}; install them (Debian: apt-get install {packages})");
    }
    Ok(())
}
