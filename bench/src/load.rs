//! Sagas of one definition on an engine of its own, on a database of its own: started one after another, or at a steady rate.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{self, MissedTickBehavior},
};
use wasaga_domain::{
    clock::SystemClock, definition::Definition, ids::SagaId, payload::Payload, ports::StepExecutor,
};
use wasaga_engine::{
    definitions::DefinitionSource,
    driver::{Engine, EngineHandle, EngineOptions, Parts, StartRequest},
};
use wasaga_store::{
    Store,
    lease::HostLease,
    testing::{TestDatabase, database_on},
};

const LEASE: Duration = Duration::from_secs(10);

/// The one definition there is.
struct Only(Arc<Definition>);

#[async_trait]
impl DefinitionSource for Only {
    async fn definition(&self, _: &str, _: u32) -> Result<Arc<Definition>, String> {
        Ok(Arc::clone(&self.0))
    }
}

type Ends = Arc<Mutex<HashMap<SagaId, oneshot::Sender<()>>>>;

/// An engine and who waits for its sagas.
pub struct Load {
    starter: Starter,
    handle: EngineHandle,
    lease: HostLease,
    database: TestDatabase,
}

#[derive(Clone)]
struct Starter {
    engine: Engine,
    definition: Arc<Definition>,
    waiting: Ends,
}

impl Load {
    /// On a database of its own of this server.
    pub async fn start(
        server: &str,
        definition: &Arc<Definition>,
        executor: Arc<dyn StepExecutor>,
        committers: usize,
    ) -> Result<Self> {
        let database = database_on(server.to_owned()).await;
        let store = database.store.clone();
        let lease = HostLease::start(store.clone(), "bench".into(), "bench", LEASE).await?;
        let (ends, mut ended) = mpsc::unbounded_channel();
        let (engine, handle) = Engine::start_up(
            Parts {
                store,
                executor,
                definitions: Arc::new(Only(Arc::clone(definition))),
                clock: Arc::new(SystemClock),
                host: lease.host(),
                sagas: Arc::new(Notify::new()),
                outbox: Arc::new(Notify::new()),
                ends: Some(ends),
            },
            EngineOptions { committers, ..EngineOptions::default() },
        );
        let waiting = Ends::default();
        tokio::spawn({
            let waiting = Arc::clone(&waiting);
            async move {
                while let Some(saga) = ended.recv().await {
                    // An end may come before its starter has asked for it.
                    let starter = waiting.lock().expect("nobody panics with it").remove(&saga);
                    match starter {
                        Some(starter) => drop(starter.send(())),
                        None => drop(waiting.lock().expect("as above").insert(saga, closed())),
                    }
                }
            }
        });
        let starter = Starter { engine, definition: Arc::clone(definition), waiting };
        Ok(Self { starter, handle, lease, database })
    }

    /// Where the sagas are.
    pub fn store(&self) -> &Store {
        &self.database.store
    }

    /// Runs so many sagas, so many at once, each followed by the next; how long each took, sorted.
    pub async fn run(&self, concurrency: usize, sagas: usize) -> Result<Vec<Duration>> {
        let left = Arc::new(Semaphore::new(sagas));
        let mut clients = JoinSet::new();
        for _ in 0..concurrency {
            let (starter, left) = (self.starter.clone(), Arc::clone(&left));
            clients.spawn(async move {
                let mut latencies = Vec::new();
                while let Ok(permit) = left.try_acquire() {
                    permit.forget();
                    latencies.push(starter.one().await?);
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Vec::with_capacity(sagas);
        while let Some(client) = clients.join_next().await {
            latencies.extend(client??);
        }
        latencies.sort_unstable();
        Ok(latencies)
    }

    /// Starts `rate` sagas a second, whether those before have ended or not; how long each took, sorted.
    pub async fn at(&self, rate: f64, seconds: f64) -> Result<Vec<Duration>> {
        let mut ticks = time::interval(Duration::from_secs_f64(1.0 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sagas = JoinSet::new();
        for _ in 0..(rate * seconds) as usize {
            ticks.tick().await;
            let starter = self.starter.clone();
            sagas.spawn(async move { starter.one().await });
        }
        let mut latencies = sagas.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        latencies.sort_unstable();
        Ok(latencies)
    }

    /// Ends it in order.
    pub async fn stop(self) {
        drop(self.starter);
        self.handle.stop().await;
        self.lease.stop().await;
    }
}

impl Starter {
    async fn one(&self) -> Result<Duration> {
        let begun = Instant::now();
        let request = StartRequest {
            definition: Arc::clone(&self.definition),
            business_key: None,
            input: input(),
            traceparent: None,
        };
        let started = self.engine.start(request).await?;
        let (end, ended) = oneshot::channel();
        let first = self
            .waiting
            .lock()
            .expect("nobody panics with it")
            .insert(started.saga_id, end)
            .is_some();
        if first {
            self.waiting.lock().expect("as above").remove(&started.saga_id);
        } else {
            ended.await.context("the saga ends")?;
        }
        Ok(begun.elapsed())
    }
}

/// A sender whose receiver is gone: it stands for an end that came first.
fn closed() -> oneshot::Sender<()> {
    oneshot::channel().0
}

/// What each saga is started with.
pub fn input() -> Payload {
    Payload::json(
        r#"{"customer_id":"customer-123","items":[{"product_id":"product-1","quantity":2}]}"#,
    )
}
