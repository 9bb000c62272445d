//! What an operator may set. Defaults come first, then a TOML file, then environment variables: `WASAGA_` and the key
//! with `__` between sections (`WASAGA_SERVER__PORT`), then `DATABASE_URL`, `DATABASE_URL_FILE`,
//! `SERVER_PORT` and `KAFKA_BROKERS`.
//!
//! To add a key: a field with its default in a section's file, its check in [`Config::fault`], its lines in
//! wasaga.example.toml, which a test compares with the defaults.

mod codecs;
mod database;
mod engine;
mod error;
mod flows;
mod kafka;
mod log;
mod plugins;
mod retention;
mod schedules;
mod secrets;
mod server;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::Deserialize;
use wasaga_domain::definition::Overrides;

pub use codecs::{Registry, Topic};
pub use database::{Database, DatabaseUrl, Migrate};
pub use engine::Engine;
pub use error::ConfigError;
pub use flows::{Flows, PluginFlows};
pub use kafka::{Brokers, Kafka, OAuth, Properties};
pub use log::{Log, LogFormat};
pub use plugins::Plugins;
pub use retention::Retention;
pub use schedules::Schedules;
pub use secrets::Secret;
pub use server::Server;

/// The file that is read where none is named, if it is there.
pub const DEFAULT_FILE: &str = "wasaga.toml";

/// Two keys for one thing.
const EITHER: [(&str, &str); 2] =
    [("database.url", "database.url_file"), ("database.direct_url", "database.direct_url_file")];

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP interface.
    pub server: Server,
    /// Postgres.
    pub database: Database,
    /// The broker.
    pub kafka: Kafka,
    /// How values are written, by topic, or by a prefix with `*` behind it.
    pub topics: BTreeMap<String, Topic>,
    /// Where schemas are.
    pub registry: Registry,
    /// Where plugins come from, and what each of them may do.
    pub plugins: Plugins,
    /// How much sagas take at once.
    pub engine: Engine,
    /// How much the task flows take at once.
    pub flows: Flows,
    /// What starts by the clock.
    pub schedules: Schedules,
    /// How long ended sagas are kept.
    pub retention: Retention,
    /// Changes to definitions, by name and step.
    pub definitions: Overrides,
    /// The log.
    pub log: Log,
}

impl Config {
    /// Reads it. Without `file`, `wasaga.toml` of the working directory is read if it is there.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
        let file = match file {
            Some(named) if !named.is_file() => return Err(ConfigError::no_file(named)),
            Some(named) => Some(named.to_owned()),
            None => default(),
        };
        let mut figment = Figment::new();
        if let Some(file) = &file {
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self =
            above(above(figment, &own_variables()), &common_variables()).extract()?;
        config.fault().map_or(Ok(config), |fault| Err(ConfigError::new(fault)))
    }

    /// Reads it from text alone: no file, no environment.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(Figment::from(Toml::string(text)).extract()?)
    }

    /// What is wrong with values that parse, if anything is.
    pub fn fault(&self) -> Option<String> {
        let Self { server, database, kafka, plugins, engine, flows, .. } = self;
        (server.fault())
            .or_else(|| database.fault())
            .or_else(|| kafka.fault())
            .or_else(|| self.codecs_fault())
            .or_else(|| plugins.fault())
            .or_else(|| engine.fault())
            .or_else(|| flows.fault())
            .or_else(|| self.connections_fault())
            .or_else(|| self.schedules.fault())
            .or_else(|| self.retention.fault())
    }

    /// What is published first holds connections while the broker is slow; the host's lease needs one then too.
    fn connections_fault(&self) -> Option<String> {
        let (first, all) = (self.flows.publish_first, self.database.max_connections);
        (2 * first > all as usize).then(|| {
            format!(
                "flows.publish_first = {first}: each holds a connection, and database.max_connections = {all}: \
                 set it to at most {}, or allow more connections",
                all / 2
            )
        })
    }
}

/// The variables above all that is below. Of two keys for one thing, that of the variables is left.
fn above(below: Figment, variables: &Env) -> Figment {
    let given = Figment::from(variables);
    let both_ways = EITHER.iter().flat_map(|(one, other)| [(one, other), (other, one)]);
    let replaced = both_ways.filter(|(one, other)| given.contains(one) && !given.contains(other));
    let nothing = |below: Figment, (_, other): (&&str, &&str)| {
        below.merge(Serialized::default(other, None::<String>))
    };
    replaced.fold(below, nothing).merge(variables)
}

/// `WASAGA_CONFIG` is the command line's, and `WASAGA_TEST_…` are the test suite's.
fn own_variables() -> Env {
    Env::prefixed("WASAGA_")
        .filter(|name| {
            let name = name.as_str().to_ascii_lowercase();
            name != "config" && !name.starts_with("test_")
        })
        .split("__")
}

fn common_variables() -> Env {
    Env::raw().only(&["DATABASE_URL", "DATABASE_URL_FILE", "SERVER_PORT", "KAFKA_BROKERS"]).map(
        |name| match name.as_str().to_ascii_uppercase().as_str() {
            "DATABASE_URL" => "database.url".into(),
            "DATABASE_URL_FILE" => "database.url_file".into(),
            "SERVER_PORT" => "server.port".into(),
            _ => "kafka.brokers".into(),
        },
    )
}

/// The fault of a number that is too small.
fn at_least<N: PartialOrd + std::fmt::Display>(key: &str, value: N, least: N) -> Option<String> {
    (value < least).then(|| format!("{key} = {value}: must be at least {least}"))
}
