//! `wasaga test`: a plugin's scenarios, and the fault matrix, without a host.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use wasaga_domain::ids::SagaId;
use wasaga_harness::{
    Report, Scenario, Stage, capture,
    faults::faults,
    record::{Past, Recorded, record},
    run, scenarios as scenarios_of,
};

use super::saga::saga_id;
use crate::{
    config::Config,
    host::{signals::Signals, startup},
};

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
    /// Make scenarios out of the journal of this saga, which the configured database has: one for each step that the plugin
    /// ran
    #[arg(long, value_name = "SAGA", value_parser = saga_id, conflicts_with = "faults")]
    record: Option<SagaId>,
    /// Write them to this file, which must not be there yet, and try them; without it they are printed
    #[arg(long, value_name = "FILE", requires = "record")]
    out: Option<PathBuf>,
    /// The input of sagas that no scenario runs, as JSON
    #[arg(long, value_name = "FILE", requires = "faults")]
    input: Option<PathBuf>,
    /// A Postgres on which a database may be made, for plugins with SQL; without it one is started for as long as this takes
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
        if self.scenarios.is_empty() && !self.faults && self.record.is_none() {
            bail!("nothing to try: name a file of scenarios, or say --faults or --record SAGA");
        }
        capture();
        let told = self.told()?;
        let input = self.input.as_deref().map(json).transpose()?;
        let components = [&self.plugin].into_iter().chain(&self.with);
        let components = components.map(|file| read(file)).collect::<anyhow::Result<_>>()?;
        let options = config.plugins.options(&config.definitions);
        // What the stage starts is not to outlive this.
        let mut signals = Signals::listen()?;
        let mut stage = Stage::new(components, options, self.database.as_deref()).await?;
        let tried = tokio::select! {
            tried = self.try_on(&mut stage, told, input.as_ref(), config) => tried,
            () = signals.stop() => Err(anyhow!("interrupted")),
        };
        stage.close().await;
        let Some(report) = tried? else { return Ok(()) };
        self.print(&report)?;
        if report.cases.is_empty() {
            bail!("nothing was tried: there is no scenario, and the plugin defines no saga");
        }
        if !report.is_ok() {
            bail!("{} of {} cases failed", report.failed(), report.cases.len());
        }
        Ok(())
    }

    /// None: a record was printed, and nothing is to be tried.
    async fn try_on(
        &self,
        stage: &mut Stage,
        mut told: Vec<Scenario>,
        input: Option<&Value>,
        config: &Config,
    ) -> anyhow::Result<Option<Report>> {
        if let Some(saga) = self.record {
            told.extend(recorded(config, saga, stage, self.out.as_deref()).await?);
            if self.out.is_none() {
                return Ok(None);
            }
        }
        let mut report = run(stage, &told).await;
        if self.faults {
            report.cases.extend(faults(stage, &told, input).await.cases);
        }
        Ok(Some(report))
    }

    fn told(&self) -> anyhow::Result<Vec<Scenario>> {
        let files = self.scenarios.iter().map(|path| scenarios_of(path));
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

/// Records a saga, and reads back what was written.
async fn recorded(
    config: &Config,
    id: SagaId,
    stage: &Stage,
    out: Option<&Path>,
) -> anyhow::Result<Vec<Scenario>> {
    let store = startup::database(&config.database).await?;
    let saga = store.saga_get(id).await?.with_context(|| format!("there is no saga {id}"))?;
    let known = store.definition_get(&saga.definition, saga.version).await?;
    let (definition, owner, _) = known.with_context(|| {
        format!("the database does not know definition {} {}", saga.definition, saga.version)
    })?;
    let journal = store.journal_list(id).await?;
    let past = Past {
        definition: &saga.definition,
        business_key: saga.business_key.as_deref(),
        input: &saga.input,
    };
    let is_own = |name: &str| {
        let step = definition.steps.iter().find(|step| step.name == name);
        step.is_some_and(|step| step.worker.as_ref().unwrap_or(&owner) == stage.plugin())
    };
    let Recorded { scenarios, left_out } = record(past, &journal, is_own);
    for sentence in left_out {
        eprintln!("left out: {sentence}");
    }
    let text = serde_json::to_string_pretty(&scenarios)?;
    let Some(out) = out else {
        println!("{text}");
        return Ok(Vec::new());
    };
    let cannot = || format!("{} can't be written", out.display());
    let mut file = File::create_new(out).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    Ok(scenarios_of(out)?)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} can't be read", file.display()))
}

fn json(file: &Path) -> anyhow::Result<Value> {
    serde_json::from_slice(&read(file)?).with_context(|| format!("{} is no JSON", file.display()))
}
