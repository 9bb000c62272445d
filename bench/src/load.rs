//! Sagas of one definition on an engine of its own: in a closed loop, in which each client starts its next saga when its last one
//! has ended, or at a steady rate.

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
use wasaga_store::{Store, lease::HostLease};

/// The one definition there is.
struct Only(Arc<Definition>);

#[async_trait]
impl DefinitionSource for Only {
    async fn definition(&self, _: &str, _: u32) -> Result<Arc<Definition>, String> {
        Ok(Arc::clone(&self.0))
    }
}

type Ends = Arc<Mutex<HashMap<SagaId, oneshot::Sender<()>>>>;

/// Starts sagas and waits for their ends.
#[derive(Clone)]
pub struct Load {
    engine: Engine,
    definition: Arc<Definition>,
    waiting: Ends,
}

/// What the sagas run on.
pub struct Running {
    handle: EngineHandle,
    lease: HostLease,
}

impl Load {
    /// An engine on this store, which calls this executor.
    pub async fn start(
        store: Store,
        definition: &Arc<Definition>,
        executor: Arc<dyn StepExecutor>,
        committers: usize,
    ) -> Result<(Self, Running)> {
        let lease = Duration::from_secs(10);
        let lease = HostLease::start(store.clone(), "bench".into(), "bench", lease).await?;
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
        let load = Self { engine, definition: Arc::clone(definition), waiting };
        Ok((load, Running { handle, lease }))
    }

    /// Runs so many sagas, so many at once, and returns how long each took.
    pub async fn run(&self, concurrency: usize, sagas: usize) -> Result<Vec<Duration>> {
        let left = Arc::new(Semaphore::new(sagas));
        let mut clients = JoinSet::new();
        for _ in 0..concurrency {
            let (load, left) = (self.clone(), Arc::clone(&left));
            clients.spawn(async move {
                let mut latencies = Vec::new();
                while let Ok(permit) = left.try_acquire() {
                    permit.forget();
                    latencies.push(load.one().await?);
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Vec::with_capacity(sagas);
        while let Some(client) = clients.join_next().await {
            latencies.extend(client??);
        }
        Ok(latencies)
    }

    /// Starts `rate` sagas a second, whether those before have ended or not, and returns how long each took.
    pub async fn at(&self, rate: f64, seconds: f64) -> Result<Vec<Duration>> {
        let mut ticks = time::interval(Duration::from_secs_f64(1.0 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sagas = JoinSet::new();
        for _ in 0..(rate * seconds) as usize {
            ticks.tick().await;
            let load = self.clone();
            sagas.spawn(async move { load.one().await });
        }
        sagas.join_all().await.into_iter().collect()
    }

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

impl Running {
    /// Stops the engine of this load.
    pub async fn stop(self, load: Load) {
        drop(load);
        self.handle.stop().await;
        self.lease.stop().await;
    }
}

/// A sender whose receiver is gone: it stands for an end that came first.
fn closed() -> oneshot::Sender<()> {
    oneshot::channel().0
}

/// What each saga starts with.
pub fn input() -> Payload {
    Payload::json(
        r#"{"customer_id":"customer-123","items":[{"product_id":"product-1","quantity":2}]}"#,
    )
}
