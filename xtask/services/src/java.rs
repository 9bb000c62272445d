//! Java and Maven: what Kafka runs on, and how archives come from Maven Central.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use wasaga_guest_build::programs::{find_binary, output_of, run};

/// What Apache Kafka 4 asks for.
const OLDEST_JAVA: u32 = 17;
const PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";

/// Checks that there is a Java that is new enough.
pub(crate) fn require_java() -> Result<()> {
    let install = format!(
        "Java {OLDEST_JAVA} or later is needed: install it (Debian: apt-get install default-jre-headless)"
    );
    if find_binary("java").is_none() {
        bail!("{install}");
    }
    // On stdout and short: `openjdk 17.0.15 2025-04-15`.
    let said = output_of(Command::new("java").arg("--version")).context(install.clone())?;
    match major_version(&said) {
        Some(major) if major >= OLDEST_JAVA => Ok(()),
        _ => bail!("{install}; found: {}", said.lines().next().unwrap_or("no version")),
    }
}

fn major_version(said: &str) -> Option<u32> {
    let version = said.split_whitespace().nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Group, artifact and version of something on Maven Central.
pub(crate) type Artifact<'a> = (&'a str, &'a str, &'a str);

/// What becomes of the jars that are fetched.
#[derive(Clone, Copy)]
pub(crate) enum Jars {
    Copied,
    Unpacked,
}

/// Fetches artifacts and all they need at run time into `directory`, beside the project file that
/// asks for them. Maven's output goes to stderr.
pub(crate) fn fetch(directory: &Path, artifacts: &[Artifact<'_>], jars: Jars) -> Result<()> {
    if find_binary("mvn").is_none() {
        bail!("Maven is needed to fetch archives: install it (Debian: apt-get install maven)");
    }
    let project = directory.join("pom.xml");
    fs::write(&project, project_file(artifacts))
        .with_context(|| format!("cannot write {}", project.display()))?;
    let goal = match jars {
        Jars::Copied => "copy-dependencies",
        Jars::Unpacked => "unpack-dependencies",
    };
    let mut output_directory = OsString::from("-DoutputDirectory=");
    output_directory.push(directory);
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-ntp", "-DincludeScope=runtime"])
        .arg(output_directory)
        .arg(format!("{PLUGIN}:{goal}"))
        .arg("-f")
        .arg(&project);
    run(&mut maven).context("Maven could not fetch it: is Maven Central reachable?")
}

/// A project that is nothing but its dependencies.
fn project_file(artifacts: &[Artifact<'_>]) -> String {
    let dependency = |(group, artifact, version): &Artifact<'_>| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>\n"
        )
    };
    let dependencies = artifacts.iter().map(dependency).collect::<Vec<_>>().concat();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n\
         <modelVersion>4.0.0</modelVersion>\n\
         <groupId>wasaga</groupId><artifactId>fetched</artifactId><version>1</version>\n\
         <packaging>pom</packaging>\n<dependencies>\n{dependencies}</dependencies>\n</project>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn versions_are_read() {
        assert_eq!(major_version("openjdk 17.0.15 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(major_version("java 21-ea 2023-09-19"), Some(21));
        assert_eq!(major_version("Unrecognized"), None);
    }
}
