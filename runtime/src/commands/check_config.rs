//! `wasaga config check`.

use std::collections::BTreeMap;

use wasaga_kafka::ClientOptions;

use crate::{
    config::{Brokers, Config, DatabaseUrl},
    host::client_options,
};

/// A broker that is never asked: librdkafka wants one before it looks at other options.
const NOWHERE: &str = "127.0.0.1:1";

/// What a run would refuse before it does anything; prints where the host would find its parts.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    let database = DatabaseUrl::from(config.database.options()?.url.as_str());
    let broker = match config.kafka.broker() {
        Brokers::Off => "none".to_owned(),
        Brokers::Embedded => {
            client_options(config, NOWHERE)?;
            "embedded, in memory".to_owned()
        }
        Brokers::Named => {
            let _: ClientOptions = client_options(config, &config.kafka.brokers)?;
            config.kafka.brokers.clone()
        }
    };
    config.codecs()?;
    config.plugins.granted()?;
    config.plugins.egress()?;
    let plugins = config.plugins.dir.as_ref().map(|dir| dir.display().to_string());
    let lines: BTreeMap<_, _> = [
        ("http", format!("{}:{}", config.server.host, config.server.port)),
        ("database", database.to_string()),
        ("broker", broker),
        ("plugins", plugins.unwrap_or_else(|| "those of the database".to_owned())),
    ]
    .into();
    println!("the configuration is well formed");
    for (part, place) in lines {
        println!("  {part}: {place}");
    }
    Ok(())
}
