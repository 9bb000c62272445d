//! `wasaga test`: a plugin's scenarios, and the fault matrix, without a host.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use wasaga_harness::{Report, Scenario, Stage, capture, faults::faults, run, scenarios};

use crate::config::Config;

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// A component: the plugin under test
    plugin: PathBuf,
    /// Files of scenarios (.toml, .json), or directories of them
    scenarios: Vec<PathBuf>,
    /// Another plugin's component, which runs steps of its sagas; may be repeated
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// Run each step twice, fail each one, undo each twice, and lose the host at every commit
    #[arg(long)]
    faults: bool,
    /// The input of sagas that no scenario runs, as JSON
    #[arg(long, value_name = "FILE", requires = "faults")]
    input: Option<PathBuf>,
    /// A Postgres on which a database may be made, for plugins with SQL
    #[arg(long, value_name = "URL", env = "WASAGA_TEST_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Human,
    /// For CI servers
    Junit,
    /// For programs
    Json,
}

impl Test {
    pub(crate) async fn run(self, config: &Config) -> anyhow::Result<()> {
        if self.scenarios.is_empty() && !self.faults {
            bail!("nothing to try: name a file of scenarios, or say --faults");
        }
        capture();
        let told = self.told()?;
        let input = self.input.as_deref().map(json).transpose()?;
        let components = [&self.plugin].into_iter().chain(&self.with);
        let components = components.map(|file| read(file)).collect::<anyhow::Result<_>>()?;
        let options = config.plugins.options(&config.definitions);
        let mut stage = Stage::new(components, options, self.database.as_deref()).await?;
        let mut report = run(&mut stage, &told).await;
        if self.faults {
            report.cases.extend(faults(&mut stage, &told, input.as_ref()).await.cases);
        }
        stage.close().await;
        self.print(&report)?;
        if report.cases.is_empty() {
            bail!("nothing was tried: there is no scenario, and the plugin defines no saga");
        }
        if !report.is_ok() {
            bail!("{} of {} cases failed", report.failed(), report.cases.len());
        }
        Ok(())
    }

    fn told(&self) -> anyhow::Result<Vec<Scenario>> {
        let files = self.scenarios.iter().map(|path| scenarios(path));
        Ok(files.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn print(&self, report: &Report) -> anyhow::Result<()> {
        match self.format {
            Format::Human => print!("{}", report.human()),
            Format::Junit => print!("{}", report.junit(&self.plugin.display().to_string())),
            Format::Json => println!("{}", serde_json::to_string_pretty(report)?),
        }
        Ok(())
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} can't be read", file.display()))
}

fn json(file: &Path) -> anyhow::Result<Value> {
    serde_json::from_slice(&read(file)?).with_context(|| format!("{} is no JSON", file.display()))
}
