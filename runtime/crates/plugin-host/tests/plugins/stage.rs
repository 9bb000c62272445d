//! What the tests stand on: components, hosts, calls and stores in memory.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use wasaga_domain::{
    attempt::{Attempt, Direction, idempotency_key},
    catalog::Catalog,
    clock::{Clock as _, SystemClock},
    ids::{Digest, PluginName, SagaId, TaskId},
    ledger::Ledger,
    mail::Audit,
    message::Message,
    outcome::{Arrival, Done, Failure, StepOutcome, Wait},
    payload::Payload,
    ports::{
        Activation, CallContext, CallKind, CatalogSource as _, ModuleError, ModuleStore, NewModule,
        StepCall, StepExecutor as _, StepReport, TaskCall, TaskKind,
    },
    swap::{Canary, CanaryCounts, Change, Part, Swap, Swapped},
};
use wasaga_plugin_host::{Grants, Options, PluginHost};

/// A component of plugins/testing, by its directory there.
pub fn component(package: &str) -> Vec<u8> {
    let directory = std::env::var_os("WASAGA_TEST_PLUGINS").expect(
        "WASAGA_TEST_PLUGINS names no directory of built guests: run `cargo xtask test`, which sets it",
    );
    let path = PathBuf::from(directory).join(format!("{package}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: build it with `cargo xtask guests`", path.display())
    })
}

/// Grants whatever is asked for.
pub fn generous() -> Options {
    let grants = Grants { grant_all: true, ..Grants::default() };
    Options { grants, ..Options::default() }
}

pub fn host(options: Options) -> Arc<PluginHost> {
    PluginHost::new(options, None, None, Arc::new(SystemClock)).expect("a host")
}

/// A host on which the probe is active.
pub async fn probe(options: Options) -> Arc<PluginHost> {
    let host = host(options);
    host.install_local(component("probe-rust")).await.expect("the probe loads");
    host
}

/// The script of an attempt of step a.
pub fn does(action: Value) -> Value {
    json!({"steps": {"a": [action]}})
}

pub fn call(plugin: &str, input: &Value) -> StepCall {
    let saga = SagaId::derived(plugin, "1");
    let attempt = Attempt {
        saga_id: saga,
        saga: plugin.into(),
        definition_version: 1,
        business_key: Some("1".into()),
        step: "a".into(),
        direction: Direction::Forward,
        number: 1,
        idempotency_key: idempotency_key(saga, 7, "a", Direction::Forward),
        forward_key: idempotency_key(saga, 7, "a", Direction::Forward),
        deadline: SystemClock.now().after(Duration::from_secs(30)),
        traceparent: None,
    };
    let definition = Arc::new(wasaga_domain::definition::Definition {
        name: plugin.into(),
        version: 1,
        steps: Vec::new(),
        input_schema: None,
        plugin: "worker".parse().expect("a name"),
        lifecycle_topic: None,
        deadline: None,
        pin_workers: false,
        pins: wasaga_domain::definition::Pins::new(),
    });
    StepCall {
        attempt,
        worker: plugin.parse().expect("a plugin's name"),
        module: None,
        input: Payload::json(input.to_string()),
        kind: CallKind::Execute { guarded: false },
        context: CallContext { definition, ledger: Arc::new(Ledger::default()), cause: None },
    }
}

pub fn task(plugin: &str, message: Message) -> TaskCall {
    TaskCall {
        id: TaskId(1),
        plugin: plugin.parse().expect("a plugin's name"),
        attempt: 1,
        idempotency_key: "key".into(),
        deadline: SystemClock.now().after(Duration::from_secs(30)),
        traceparent: None,
        message,
        kind: TaskKind::In,
    }
}

/// Calls and waits for the one report.
pub async fn report(host: &PluginHost, call: StepCall) -> StepReport {
    let (sender, reports) = tokio::sync::oneshot::channel();
    host.run(call, Box::new(move |report| drop(sender.send(report))));
    reports.await.expect("a report")
}

pub async fn run(host: &PluginHost, input: Value) -> Result<StepOutcome, Failure> {
    report(host, call("probe", &input)).await.outcome
}

/// The call of `resume` for a reply to a wait, after which the script does this.
pub async fn resume(host: &PluginHost, plugin: &str, then: &Value) -> StepCall {
    let topic = format!("{plugin}.replies");
    let wait = json!({"do": "wait", "topic": topic, "correlation": "c", "then": then});
    let mut call = self::call(plugin, &does(wait));
    match report(host, call.clone()).await.outcome {
        Ok(StepOutcome::Wait(wait)) => call.kind = arrived(wait, &topic, "c"),
        other => panic!("it does not wait: {other:?}"),
    }
    call
}

/// The end of a wait by a message.
pub fn arrived(wait: Wait, topic: &str, correlation: &str) -> CallKind {
    let (topic, headers, value) = (topic.into(), Vec::new(), Some(r#"{"ok":true}"#.into()));
    let message = Message { topic, key: None, headers, value };
    let arrival = Arrival::Message { correlation: correlation.into(), message };
    CallKind::Resume { memo: wait.memo, undo: wait.undo, arrival }
}

pub fn output(outcome: Result<StepOutcome, Failure>) -> Value {
    match outcome {
        Ok(StepOutcome::Done(Done { output, .. })) => {
            serde_json::from_slice(&output.data).expect("JSON")
        }
        other => panic!("not done: {other:?}"),
    }
}

/// The class, code and message of a failure.
pub fn failed(outcome: Result<StepOutcome, Failure>) -> (&'static str, String, String) {
    let failure = outcome.expect_err("a failure");
    let class = match failure {
        Failure::Retryable { .. } => "retryable",
        Failure::Permanent(_) => "permanent",
        Failure::Unknown(_) => "unknown",
        Failure::Unavailable(_) => "unavailable",
    };
    let detail = failure.detail();
    (class, detail.code.clone(), detail.message.clone())
}

/// What a module is rejected with.
pub fn rejection(result: Result<PluginName, ModuleError>) -> String {
    match result {
        Err(ModuleError::Rejected(reason)) => reason,
        other => panic!("not rejected: {other:?}"),
    }
}

/// The names of the active plugins.
pub fn active(host: &PluginHost) -> Vec<String> {
    let catalog: Arc<Catalog> = host.catalog();
    catalog.plugins.keys().map(ToString::to_string).collect()
}

/// An empty directory of this test's own, removed at its end.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        let name = format!("wasaga-test-{}-{:x}", std::process::id(), rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Modules in memory, as several hosts share them.
#[derive(Default)]
pub struct Modules {
    bytes: Mutex<HashMap<Digest, Vec<u8>>>,
    signatures: Mutex<HashMap<Digest, String>>,
    active: Mutex<Vec<Activation>>,
    /// What was done to which module, by whom.
    pub history: Mutex<Vec<(String, Digest, Option<String>)>>,
    /// What was counted of canaries' calls.
    pub counts: Mutex<Vec<CanaryCounts>>,
    /// More failures of a canary's calls than these end it.
    pub bearable: std::sync::atomic::AtomicU64,
    pub down: std::sync::atomic::AtomicBool,
}

impl Modules {
    fn up(&self) -> Result<(), ModuleError> {
        if self.down.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ModuleError::Unavailable("connection refused".into()));
        }
        Ok(())
    }

    fn changed(&self, what: &str, digest: Digest, by: &Audit) -> i64 {
        let mut history = self.history.lock().expect("not poisoned");
        history.push((what.into(), digest, by.by.clone()));
        i64::try_from(history.len()).expect("few")
    }
}

#[async_trait]
impl ModuleStore for Modules {
    async fn activations(&self) -> Result<Vec<Activation>, ModuleError> {
        self.up()?;
        Ok(self.active.lock().expect("not poisoned").clone())
    }

    async fn module(&self, digest: Digest) -> Result<Vec<u8>, ModuleError> {
        self.up()?;
        let bytes = self.bytes.lock().expect("not poisoned").get(&digest).cloned();
        bytes.ok_or_else(|| {
            ModuleError::Rejected(format!("module {digest} is not in wasaga.modules"))
        })
    }

    async fn signature(&self, digest: Digest) -> Result<Option<String>, ModuleError> {
        self.up()?;
        Ok(self.signatures.lock().expect("not poisoned").get(&digest).cloned())
    }

    async fn sign(&self, digest: Digest, signature: &str) -> Result<(), ModuleError> {
        self.up()?;
        self.signatures.lock().expect("not poisoned").insert(digest, signature.into());
        Ok(())
    }

    async fn swap(&self, module: NewModule, swap: &Swap) -> Result<Swapped, ModuleError> {
        self.up()?;
        let NewModule { digest, bytes, manifest, .. } = module;
        let generation = self.changed(swap.change.as_str(), digest, &swap.by);
        if !bytes.is_empty() {
            self.bytes.lock().expect("not poisoned").insert(digest, bytes);
        }
        let plugin = manifest.name;
        let mut activations = self.active.lock().expect("not poisoned");
        let place = activations.iter().position(|activation| activation.plugin == plugin);
        let before = place.map(|place| activations.remove(place));
        let previous = before.as_ref().map(|before| before.digest);
        let alone =
            Activation { plugin: plugin.clone(), digest, undo: None, canary: None, generation };
        match (&swap.change, before) {
            (Change::Pushed, before) => activations.extend(before),
            (Change::CanaryStarted(plan), Some(before)) => {
                let canary = Some(Canary { id: generation, digest, percent: plan.percent });
                activations.push(Activation { canary, generation, ..before });
            }
            (Change::UndoTakenOver, Some(before)) => {
                activations.push(Activation { undo: Some(digest), generation, ..before });
            }
            _ => activations.push(alone),
        }
        Ok(Swapped { plugin, version: manifest.version, digest, previous, generation })
    }

    async fn end(&self, plugin: &PluginName, part: Part, by: &Audit) -> Result<bool, ModuleError> {
        self.up()?;
        let mut activations = self.active.lock().expect("not poisoned");
        let active = activations.iter_mut().find(|activation| activation.plugin == *plugin);
        let Some(active) = active else { return Ok(false) };
        let ended = match part {
            Part::Canary => active.canary.take().map(|canary| canary.digest),
            Part::Undo => active.undo.take(),
        };
        let Some(digest) = ended else { return Ok(false) };
        active.generation = self.changed(part.ended(), digest, by);
        Ok(true)
    }

    async fn known(&self, digest: Digest) -> Result<Option<String>, ModuleError> {
        self.up()?;
        let history = self.history.lock().expect("not poisoned");
        let known = history.iter().rfind(|(what, known, _)| what != "pushed" && *known == digest);
        Ok(known.map(|(what, _, by)| format!("{what} by {}", by.as_deref().unwrap_or("nobody"))))
    }

    async fn before(&self, plugin: &PluginName) -> Result<Option<Digest>, ModuleError> {
        let active = self.activations().await?.into_iter().find(|active| active.plugin == *plugin);
        let active = active.map(|active| active.digest);
        let history = self.history.lock().expect("not poisoned");
        let before = history.iter().rfind(|(_, digest, _)| Some(*digest) != active);
        Ok(before.map(|(_, digest, _)| *digest))
    }

    async fn needed(&self, _: &PluginName) -> Result<Option<String>, ModuleError> {
        self.up()?;
        Ok(Some("1 saga in flight (s)".into()))
    }

    async fn count(
        &self,
        plugin: &PluginName,
        canary: i64,
        counts: CanaryCounts,
    ) -> Result<Option<String>, ModuleError> {
        self.up()?;
        let failures = {
            let mut all = self.counts.lock().expect("not poisoned");
            all.push(counts);
            all.iter().map(|counts| counts.canary.failures).sum::<u64>()
        };
        if failures <= self.bearable.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(None);
        }
        let by = Audit::because("too many failed");
        let runs = |active: &Activation| active.canary.as_ref().is_some_and(|it| it.id == canary);
        if !self.activations().await?.iter().any(runs) {
            return Ok(None);
        }
        self.end(plugin, Part::Canary, &by).await?;
        Ok(Some(by.reason))
    }
}

/// All reports of calls made at once.
pub fn reports(host: &PluginHost, calls: impl IntoIterator<Item = StepCall>) -> Vec<StepReport> {
    let (sender, reports) = mpsc::channel();
    for call in calls {
        let sender = sender.clone();
        host.run(call, Box::new(move |report| sender.send(report).expect("somebody listens")));
    }
    drop(sender);
    reports.into_iter().collect()
}
