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
    message::Message,
    outcome::{Arrival, Done, Failure, StepOutcome, Wait},
    payload::Payload,
    ports::{
        Activation, CallContext, CallKind, CatalogSource as _, ModuleError, ModuleStore, NewModule,
        StepCall, StepExecutor as _, StepReport, TaskCall, TaskKind,
    },
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
    active: Mutex<Vec<Activation>>,
    pub down: std::sync::atomic::AtomicBool,
}

impl Modules {
    fn up(&self) -> Result<(), ModuleError> {
        if self.down.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ModuleError::Unavailable("connection refused".into()));
        }
        Ok(())
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

    async fn activate(&self, module: NewModule) -> Result<i64, ModuleError> {
        self.up()?;
        let mut activations = self.active.lock().expect("not poisoned");
        let generation = activations.iter().map(|a| a.generation).max().unwrap_or(0) + 1;
        self.bytes.lock().expect("not poisoned").insert(module.digest, module.bytes);
        let plugin = module.manifest.name;
        activations.retain(|activation| activation.plugin != plugin);
        activations.push(Activation { plugin, digest: module.digest, generation });
        Ok(generation)
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
