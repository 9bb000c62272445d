//! The plugin host: what the other crates hold of all this.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use arc_swap::ArcSwap;
use tokio::{
    runtime::Handle,
    sync::{self, Semaphore},
};
use wasaga_domain::{
    catalog::Catalog,
    clock::Clock,
    definition::Overrides,
    ids::{Digest, PluginName},
    ports::{
        Activation, CatalogSource, GuestDatabase, GuestHttp, HttpRecord, ModuleStore, Report,
        StepCall, StepExecutor, StepReport, TaskCall, TaskExecutor, TaskReport,
    },
};

use crate::{
    access::Access,
    cache::Cache,
    calls::Calls,
    engine::engine,
    failure::{found, is_resumed, unavailable},
    grants::Grants,
    lanes::{Errand, Lanes, Work},
    limits::Limits,
    linking::Linkers,
    loading::{Loaded, Loader},
    pinned::Pinned,
    registry::{Active, Rejection},
    report::{Ended, Reported, Reporter},
    running::{Counted, Running},
    signatures::TrustedKeys,
};

/// How a host treats its plugins.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much a guest may take.
    pub limits: Limits,
    /// What plugins may do.
    pub grants: Grants,
    /// The operator's changes to definitions.
    pub overrides: Overrides,
    /// Who has to have signed a module.
    pub trusted: TrustedKeys,
    /// Where compiled modules are kept; absent: nowhere. No two operating system users may share it.
    pub cache_dir: Option<PathBuf>,
    /// Guests that run at once on threads of their own; by default as many as there are cores.
    pub threads: usize,
    /// Guests granted `sql` or the event store that run at once; each may hold a connection to the database.
    pub sql_calls: usize,
    /// Attempts that one instance serves, one after another, of plugins of which it may serve more than one: their memory
    /// is then as the attempt before left it.
    pub reuse: BTreeMap<PluginName, u32>,
    /// Guests granted HTTP, and neither of these, that run at once.
    pub http_calls: usize,
    /// Who sends guests' requests; absent: plugins that ask for HTTP are refused.
    pub http: Option<Arc<dyn GuestHttp>>,
    /// Plugins of which it is kept what their requests came to, and who keeps it.
    pub recorded: Option<(BTreeSet<PluginName>, Arc<dyn HttpRecord>)>,
    /// For replays: what guests take for chance is the same for the same attempt, and WASI's clocks are the host's.
    pub replays: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            grants: Grants::default(),
            overrides: Overrides::default(),
            trusted: TrustedKeys::default(),
            cache_dir: None,
            threads: thread::available_parallelism().map_or(2, NonZeroUsize::get),
            sql_calls: 16,
            reuse: BTreeMap::new(),
            http_calls: 32,
            http: None,
            recorded: None,
            replays: false,
        }
    }
}

/// Why a host cannot run plugins.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// wasmtime could not be set up.
    #[error(
        "the WebAssembly engine does not start: {0}: lower the limits of plugins or raise the process's"
    )]
    Engine(String),
    /// No place for compiled modules.
    #[error("the directory of compiled modules, {path}: {error}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// No threads for guests.
    #[error("no thread for guests: {0}")]
    Threads(std::io::Error),
}

/// Loads, swaps and calls plugins.
pub struct PluginHost {
    pub(crate) calls: Arc<Calls>,
    lanes: Arc<Lanes>,
    runtime: Handle,
    pinned: Arc<Pinned>,
    pub(crate) loader: Arc<Loader>,
    pub(crate) modules: Option<Arc<dyn ModuleStore>>,
    /// What of the database was taken up last; held while plugins are swapped.
    pub(crate) followed: sync::Mutex<Vec<Activation>>,
    /// Checked modules on their way through the database.
    pub(crate) checked: Mutex<BTreeMap<Digest, Arc<Loaded>>>,
    rejections: Mutex<BTreeMap<String, Rejection>>,
}

/// Instances, of all plugins that let theirs serve more than one attempt, that are kept for each thread.
const KEPT_A_THREAD: usize = 4;
/// Set aside for plugins that are being loaded.
const LOADING: usize = 4;

impl PluginHost {
    /// A host without plugins yet. Without a module store it has those that are installed by hand; without a database
    /// it has none that are granted `sql`. It runs on the tokio runtime in which it is made; metrics go to the
    /// recorder that is installed by then.
    pub fn new(
        options: Options,
        modules: Option<Arc<dyn ModuleStore>>,
        database: Option<Arc<dyn GuestDatabase>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StartError> {
        let Options {
            limits,
            grants,
            overrides,
            trusted,
            cache_dir,
            threads,
            sql_calls,
            http_calls,
            http,
            reuse,
            recorded,
            replays,
        } = options;
        let failed = |error: wasmtime::Error| StartError::Engine(format!("{error:#}"));
        let limits = Arc::new(limits);
        let kept = if reuse.is_empty() { 0 } else { threads * KEPT_A_THREAD };
        let at_once = 2 * threads + limits.long_calls + sql_calls + http_calls + LOADING + kept;
        let at_once = u32::try_from(at_once).unwrap_or(u32::MAX);
        let engine = engine(&limits, at_once).map_err(failed)?;
        let cache = cache_dir.map(|path| {
            Cache::open(path.clone(), &engine).map_err(|error| StartError::Cache { path, error })
        });
        let loader = Loader {
            linkers: Linkers::new(&engine).map_err(failed)?,
            cache: cache.transpose()?,
            engine,
            grants,
            overrides,
            reuse,
            trusted,
            limits: limits.clone(),
            clock: clock.clone(),
            database: database.is_some(),
            http: http.is_some(),
        };
        let runtime = Handle::current();
        let lanes = Lanes::new(threads, &limits, runtime.clone(), sql_calls, http_calls);
        let lanes = lanes.map_err(StartError::Threads)?;
        let calls = Calls {
            active: ArcSwap::from_pointee(Active::default()),
            clock,
            limits,
            database,
            http,
            recorded,
            replays,
            kept: Arc::new(Semaphore::new(kept)),
        };
        let loader = Arc::new(loader);
        Ok(Arc::new(Self {
            calls: Arc::new(calls),
            lanes,
            runtime,
            pinned: Arc::new(Pinned::new(loader.clone(), modules.clone())),
            loader,
            modules,
            followed: sync::Mutex::default(),
            checked: Mutex::default(),
            rejections: Mutex::default(),
        }))
    }

    /// Whether this module is active here.
    pub fn runs(&self, digest: Digest) -> bool {
        self.calls.active.load().runs(digest)
    }

    /// Modules that were not taken, and have not been replaced nor become active since.
    pub fn rejections(&self) -> Vec<Rejection> {
        let mut rejections = locked(&self.rejections);
        rejections.retain(|_, rejection| !self.runs(rejection.digest));
        rejections.values().cloned().collect()
    }

    /// Lists a module as rejected; told in the log and counted once.
    pub(crate) fn reject(&self, source: String, digest: Digest, reason: String) {
        if self.list(&source, digest, &reason) {
            tracing::error!(source, %digest, reason, "plugin rejected");
            metrics::counter!("wasaga_plugins_rejected_total").increment(1);
        }
    }

    /// Lists a module that nothing is wrong with, and that is not to be made active; told in the log once.
    pub(crate) fn hold(&self, source: String, digest: Digest, reason: String) {
        if self.list(&source, digest, &reason) {
            tracing::warn!(source, %digest, reason, "plugin not taken");
        }
    }

    fn list(&self, source: &str, digest: Digest, reason: &str) -> bool {
        let mut rejections = locked(&self.rejections);
        let same = |known: &Rejection| known.digest == digest && known.reason == reason;
        if rejections.get(source).is_some_and(same) {
            return false;
        }
        let (at, reason) = (self.calls.clock.now(), reason.to_owned());
        let rejection = Rejection { source: source.to_owned(), digest, reason, at };
        rejections.insert(source.to_owned(), rejection);
        true
    }

    /// Takes what came from there off the list.
    pub(crate) fn accept(&self, source: &str) {
        locked(&self.rejections).remove(source);
    }

    /// The module of this plugin that takes a call.
    fn route(
        &self,
        name: &PluginName,
        takes: impl Fn(&Running) -> (&Arc<Loaded>, Option<Counted>),
    ) -> Option<(Arc<Loaded>, Option<Counted>)> {
        let active = self.calls.active.load();
        let (plugin, counted) = takes(active.running(name)?);
        Some((plugin.clone(), counted))
    }

    fn send<R: Reported>(
        &self,
        name: &PluginName,
        routed: Option<(Arc<Loaded>, Option<Counted>)>,
        report: Report<R>,
        work: impl FnOnce(Reporter<R>) -> Work,
    ) {
        let Some((plugin, counted)) = routed else {
            let message = format!(
                "plugin {name} is not active on this host: put it into the plugin directory"
            );
            let missing = Ended::failed(unavailable("plugin-missing", message));
            return Reporter::new(report, None).send(missing);
        };
        let in_doubt = plugin.access.any(Access::http);
        let report = match counted {
            Some(counted) => counted.report(report),
            None => report,
        };
        let work = work(Reporter::new(report, Some(plugin.digest)).in_doubt(in_doubt));
        self.lanes.run(Errand { calls: self.calls.clone(), plugin, work });
    }

    /// Calls a module that is not the active one.
    fn run_pinned(&self, digest: Digest, call: StepCall, report: Report<StepReport>) {
        let (pinned, lanes, calls) = (self.pinned.clone(), self.lanes.clone(), self.calls.clone());
        self.runtime.spawn(async move {
            let resumed = is_resumed(&call.kind);
            let report = Reporter::new(report, Some(digest)).in_doubt(resumed);
            match pinned.get(&call.worker, digest).await {
                Ok(plugin) => {
                    let report = report.in_doubt(resumed || plugin.access.any(Access::http));
                    let work = Work::Step(Box::new(call), report);
                    lanes.run(Errand { calls, plugin, work });
                }
                Err(failure) => report.send(Ended::failed(found(failure, resumed))),
            }
        });
    }
}

impl CatalogSource for PluginHost {
    fn catalog(&self) -> Arc<Catalog> {
        self.calls.active.load().catalog.clone()
    }
}

impl StepExecutor for PluginHost {
    fn run(&self, call: StepCall, report: Report<StepReport>) {
        let (name, resumed) = (call.worker.clone(), is_resumed(&call.kind));
        let routed = match call.module {
            None => self.route(&name, |running| running.of_step(&call)),
            Some(digest) => {
                let active = self.calls.active.load();
                let here = active.running(&name).and_then(|running| running.module(digest));
                let Some(plugin) = here else { return self.run_pinned(digest, call, report) };
                Some((plugin.clone(), None))
            }
        };
        self.send(&name, routed, report, |report: Reporter<_>| {
            let report = if resumed { report.in_doubt(true) } else { report };
            Work::Step(Box::new(call), report)
        });
    }
}

impl TaskExecutor for PluginHost {
    fn handle(&self, call: TaskCall, report: Report<TaskReport>) {
        let name = call.plugin.clone();
        let routed = self.route(&name, |running| running.of_task(&call));
        self.send(&name, routed, report, |report| Work::Task(Box::new(call), report));
    }
}

/// What these mutexes hold is whole at any time.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
