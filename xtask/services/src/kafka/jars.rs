//! The broker's jars, fetched once from Maven Central into the user's cache.

use std::path::PathBuf;

use anyhow::{Context, Result};
use wasaga_guest_build::{filled_once, user_cache};

use crate::java::{self, Artifact, Jars};

const VERSION: &str = "4.3.0";
const ARTIFACTS: [Artifact<'_>; 3] = [
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.kafka", "kafka-tools", VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
];

/// The directory that holds all jars of the broker and its tools (65 MB).
pub(super) fn fetched() -> Result<PathBuf> {
    filled_once(&user_cache()?, &format!("kafka-libs-{VERSION}"), |libs| {
        java::fetch(libs, &ARTIFACTS, Jars::Copied)
    })
    .with_context(|| format!("cannot fetch Apache Kafka {VERSION}"))
}
