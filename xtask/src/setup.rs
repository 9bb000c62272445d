//! Programs and libraries of the machine that the commands need: installed where that is possible, else named.

use std::process::Command;

use anyhow::{Result, bail};
use wasaga_services::{find_binary, install_debian_packages};

/// What a command needs, and the Debian package that has it.
#[derive(Clone, Copy)]
pub enum Need {
    /// A program on PATH.
    Program(&'static str, &'static str),
    /// A library with its headers, as pkg-config knows it.
    Library(&'static str, &'static str),
}

impl Need {
    fn is_met(self) -> bool {
        match self {
            Self::Program(program, _) => find_binary(program).is_some(),
            Self::Library(library, _) => {
                let asked = Command::new("pkg-config").args(["--exists", library]).status();
                asked.is_ok_and(|status| status.success())
            }
        }
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Program(name, package) | Self::Library(name, package) => (name, package),
        }
    }
}

/// What building the host takes beside Rust: librdkafka is C, brings a Makefile, and speaks TLS by OpenSSL.
pub const BUILD: [Need; 5] = [
    Need::Program("cc", "gcc"),
    Need::Program("c++", "g++"),
    Need::Program("make", "make"),
    Need::Program("pkg-config", "pkg-config"),
    Need::Library("openssl", "libssl-dev"),
];
/// What Apache Kafka and its download take.
pub const KAFKA: [Need; 2] =
    [Need::Program("java", "default-jre-headless"), Need::Program("mvn", "maven")];
/// What stands before Postgres in some tests.
pub const POOLER: [Need; 1] = [Need::Program("pgbouncer", "pgbouncer")];

/// Installs the Debian packages of the programs that are missing.
pub fn ensure(needs: impl IntoIterator<Item = Need>) -> Result<()> {
    let missing: Vec<Need> = needs.into_iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (names, packages): (Vec<_>, Vec<_>) = missing.into_iter().map(Need::names).unzip();
    if !install_debian_packages(&packages)? {
        let (names, packages) = (names.join(", "), packages.join(" "));
        bail!("missing: {names}; install them (Debian: apt-get install {packages})");
    }
    Ok(())
}
