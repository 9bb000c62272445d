//! From bytes to a plugin that can be called, or to a sentence that says why not. Slow: off the hot path.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use wasaga_domain::{
    catalog,
    clock::Clock,
    definition::Overrides,
    ids::{Digest, PluginName},
    manifest::Manifest,
    outcome::Failure,
};
use wasmtime::{
    Engine,
    component::{Component, InstancePre},
};

use crate::{
    access::{Access, Accesses},
    cache::Cache,
    chance::Chance,
    checks,
    exports::{Exports, Steps},
    failure::unavailable,
    grants::Grants,
    guest::{Guest, Idle, Lane},
    limits::{Limits, told_bytes},
    linking::{FITTING, Linkers},
    signatures::TrustedKeys,
    state::{CallState, LogBudget, MemoryBudget, Subject},
    trace,
    usage::Usage,
};

/// What `describe` may take.
const DESCRIBE_TIME: Duration = Duration::from_secs(1);
const DESCRIBE_BYTES: usize = 128 << 20;

/// Why a component is no plugin of this host.
pub(crate) struct Unfit {
    /// What it says it is, where it got that far.
    pub plugin: Option<PluginName>,
    /// A sentence: what, where and how to mend it.
    pub reason: String,
}

impl From<String> for Unfit {
    fn from(reason: String) -> Self {
        Self { plugin: None, reason }
    }
}

/// A plugin that can be called.
pub(crate) struct Loaded {
    pub digest: Digest,
    pub manifest: Arc<Manifest>,
    pub definitions: Vec<catalog::Active>,
    pub access: Accesses,
    pub exports: Exports,
    pub pre: InstancePre<CallState>,
    /// Whether it imports WASI.
    pub wasi: bool,
    /// Attempts that one instance serves at most.
    pub calls_per_instance: u32,
    /// Instances that may serve another attempt.
    pub idle: Mutex<Vec<Idle>>,
    pub usage: Usage,
}

impl Loaded {
    /// The exports that run this step, or why nobody does.
    pub(crate) fn step(&self, step: &str) -> Result<&Steps, Failure> {
        let name = &self.manifest.name;
        match &self.exports.steps {
            Some(steps) if self.manifest.steps.iter().any(|known| known == step) => Ok(steps),
            _ => Err(unavailable(
                "step-missing",
                format!(
                    "plugin {name} ({}) has no step {step:?}: put a version of it into the plugin \
                     directory whose manifest lists it under steps",
                    self.digest
                ),
            )),
        }
    }
}

/// Loads plugins under the operator's grants and overrides.
pub(crate) struct Loader {
    pub engine: Engine,
    pub linkers: Linkers,
    pub cache: Option<Cache>,
    pub grants: Grants,
    pub overrides: Overrides,
    /// Attempts that one instance serves, of plugins of which it may serve more than one.
    pub reuse: BTreeMap<PluginName, u32>,
    pub trusted: TrustedKeys,
    pub limits: Arc<Limits>,
    pub clock: Arc<dyn Clock>,
    /// Whether there is a database for guests.
    pub database: bool,
    /// Whether somebody sends guests' requests.
    pub http: bool,
}

impl Loader {
    /// The module's machine code, where this machine has it.
    pub(crate) fn cached(&self, digest: Digest) -> Option<Component> {
        self.cache.as_ref()?.read(&self.engine, digest)
    }

    /// The module's machine code, made where this machine has none.
    pub(crate) fn compile(&self, digest: Digest, bytes: &[u8]) -> Result<Component, String> {
        if let Some(component) = self.cached(digest) {
            return Ok(component);
        }
        kind(bytes)?;
        let (debug, limit) = (trace::debug_bytes(bytes), self.limits.debug_bytes);
        if debug > limit {
            return Err(format!(
                "component has {debug} bytes of information for debuggers: {}: build it with lines alone, or without",
                told_bytes(limit, "debug_bytes")
            ));
        }
        let component =
            Component::from_binary(&self.engine, bytes).map_err(|error| uncompiled(&error))?;
        if let Some(cache) = &self.cache {
            cache.write(digest, &component);
        }
        Ok(component)
    }

    /// Asks the component what it is, and checks all that can be checked without the other plugins.
    pub(crate) fn load(&self, digest: Digest, component: &Component) -> Result<Loaded, Unfit> {
        let mut exports = Exports::probe(component)?;
        let imports = component.component_type();
        let wasi = imports.imports(&self.engine).any(|(name, _)| name.starts_with("wasi:"));
        let pre = self.linkers.link(component, false)?;
        let manifest = self.describe(&pre, &exports, wasi)?;
        let manifest = checks::parse(&manifest)?;
        checks::manifest(&manifest, exports.steps.is_some(), exports.tasks.is_some())?;
        let access = self
            .grants
            .access(&manifest)
            .map_err(|reason| Unfit { plugin: Some(manifest.name.clone()), reason })?;
        let (database, http) = (access.any(Access::database), access.any(Access::http));
        if database && !self.database {
            return Err(Unfit::from(format!(
                "plugin {} asks for sql or the event store, and this host has no database for guests: run it in a \
                 host that has one",
                manifest.name
            )));
        }
        if http && !self.http {
            return Err(Unfit::from(format!(
                "plugin {} asks for HTTP, and this host sends nothing",
                manifest.name
            )));
        }
        let definitions = checks::definitions(&manifest, &self.overrides)?;
        let pre = if database || http { self.linkers.link(component, true)? } else { pre };
        exports.measure(manifest.name.as_str());
        let manifest = Arc::new(manifest);
        let calls_per_instance = self.reuse.get(&manifest.name).copied().unwrap_or(1);
        let idle = Mutex::default();
        Ok(Loaded {
            digest,
            manifest,
            definitions,
            access,
            exports,
            pre,
            wasi,
            calls_per_instance,
            idle,
            usage: Usage::new(Instant::now()),
        })
    }

    /// Calls `describe` with nothing granted, and checks the exports' types on the way.
    fn describe(
        &self,
        pre: &InstancePre<CallState>,
        exports: &Exports,
        wasi: bool,
    ) -> Result<String, String> {
        let state = CallState {
            access: Arc::default(),
            until: Instant::now() + DESCRIBE_TIME,
            lane: Lane::Sync(None),
            subject: Subject::Plugin,
            context: None,
            clock: self.clock.clone(),
            limits: self.limits.clone(),
            log: LogBudget::default(),
            memory: MemoryBudget::new(
                self.limits.memory_bytes.min(DESCRIBE_BYTES),
                self.limits.table_elements,
            ),
            host_calls: 0,
            chance: Chance::System,
            wasi: wasi.then(Box::default),
            session: None,
            requests: None,
        };
        let described = async {
            let mut guest = Guest::start(pre, state).await.map_err(text)?;
            exports.check(&mut guest).map_err(|error| {
                format!("component's exports do not fit ({error:#}): {FITTING}")
            })?;
            let (manifest,) = guest.call(&exports.describe, ()).await.map_err(text)?;
            Ok(manifest)
        };
        described.now_or_never().expect("the synchronous lane never waits")
    }
}

/// What wasmtime says of a component that is made of too much, and the key of that limit.
const PARTS: [(&str, &str); 8] = [
    ("core module instances", "core_instances"),
    ("Wasm linear memories", "memories"),
    ("defined memories count", "memories"),
    ("tables, which exceeds", "tables"),
    ("defined tables count", "tables"),
    ("minimum element size", "table_elements"),
    ("minimum byte size", "memory_bytes"),
    ("instance allocation for this", "instance_bytes"),
];

fn uncompiled(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    match PARTS.iter().find(|(said, _)| text.contains(said)) {
        Some((_, key)) => format!(
            "component is made of too much: {text} (plugins.guest_limits.{key}): build it smaller, or raise the limit"
        ),
        None => format!("component does not compile: {text}: build it anew"),
    }
}

fn text(failure: Failure) -> String {
    failure.detail().message.clone()
}

/// What the first eight bytes say: a component, a core module, or nothing of WebAssembly.
fn kind(bytes: &[u8]) -> Result<(), String> {
    match bytes.first_chunk::<8>() {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(format!(
            "this is a core WebAssembly module, not a component: {FITTING}, with wasm-component-ld \
             as the linker or by `wasm-tools component new`"
        )),
        Some([0, b'a', b's', b'm', ..]) => {
            Err(format!("this is WebAssembly of a version that wasaga does not know: {FITTING}"))
        }
        _ => Err(format!("this is not WebAssembly ({} bytes): {FITTING}", bytes.len())),
    }
}
