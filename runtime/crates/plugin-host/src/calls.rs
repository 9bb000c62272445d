//! The course of an attempt: which exports are called, in one instance, and what becomes of what they return.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use wasaga_domain::{
    attempt::Attempt,
    clock::{Clock, UnixMillis},
    ids::PluginName,
    lifecycle::{HOOKS, Told},
    message::Message,
    outcome::{self, Effect, Failure, StepOutcome},
    payload::Payload,
    ports::{
        CallContext, CallKind, GuestDatabase, GuestHttp, HttpRecord, StepCall, TaskCall, TaskKind,
    },
};

use crate::{
    access::{Access, Phase},
    bindings::{
        exports::wasaga::plugin::{
            steps::{Arrival, Task, Verdict},
            tasks::Outbound,
        },
        wasaga::plugin::types,
    },
    chance::{Chance, Seed},
    convert,
    exports::{Lifecycle, Steps, Tasks},
    failure::{found, is_resumed, retryable, unavailable},
    guest::{Guest, Lane},
    host::locked,
    http::{self, Requests},
    limits::Limits,
    loading::Loaded,
    registry::Active,
    report::Ended,
    results::{self, Judge},
    session::Session,
    state::{CallState, LogBudget, MemoryBudget, Subject, Wasi},
};

/// Longer calls are not timed: no clock that adds them up overflows.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// The event that a task of the host's own carries.
fn told(message: &Message) -> Result<Told, Failure> {
    let value = message.value.as_deref().unwrap_or_default();
    serde_json::from_slice(value).map_err(|error| {
        let what = format!("the event is not as this host writes it: {error}");
        Failure::Permanent(outcome::ErrorDetail::new("unreadable", what))
    })
}

/// What every call needs of its host.
pub(crate) struct Calls {
    pub active: ArcSwap<Active>,
    pub clock: Arc<dyn Clock>,
    pub limits: Arc<Limits>,
    pub database: Option<Arc<dyn GuestDatabase>>,
    pub http: Option<Arc<dyn GuestHttp>>,
    pub recorded: Option<(BTreeSet<PluginName>, Arc<dyn HttpRecord>)>,
    /// Whether what guests take for chance and time is the attempt's.
    pub replays: bool,
    /// For instances that are kept for another attempt.
    pub kept: Arc<Semaphore>,
}

/// A call about to be made.
struct About<'a> {
    access: &'a Arc<Access>,
    subject: Subject,
    context: Option<CallContext>,
    deadline: UnixMillis,
    key: String,
    attempt: u32,
    traceparent: Option<Arc<str>>,
}

impl Calls {
    /// Runs an attempt of a step.
    pub(crate) async fn step(
        &self,
        plugin: &Loaded,
        call: StepCall,
        lane: Lane,
    ) -> Ended<StepOutcome> {
        let StepCall { attempt, input, kind, context, .. } = call;
        let resumed = is_resumed(&kind);
        let steps = match plugin.step(&attempt.step) {
            Ok(steps) => steps,
            Err(missing) => return Ended::failed(missing),
        };
        let subject = Subject::Step {
            saga: attempt.saga_id,
            step: attempt.step.clone(),
            attempt: attempt.number,
        };
        let access = plugin.access.of(attempt.direction.into());
        let about = About {
            access,
            subject,
            context: Some(context),
            deadline: attempt.deadline,
            key: http::key(&attempt.idempotency_key, &kind),
            attempt: attempt.number,
            traceparent: attempt.traceparent.clone(),
        };
        let mut guest = match self.guest(plugin, about, lane).await {
            Ok(guest) => guest,
            Err(failure) => return Ended::failed(found(failure, resumed)),
        };
        let outcome = self.course(&mut guest, access, steps, &attempt, &input, &kind).await;
        self.keep_exchanges(&mut guest, access, &attempt, &kind).await;
        let kept = !matches!(outcome, Ok(StepOutcome::Rejected(_)));
        self.end(guest, plugin, outcome, kept, resumed)
    }

    async fn course(
        &self,
        guest: &mut Guest,
        access: &Access,
        steps: &Steps,
        attempt: &Attempt,
        input: &Payload,
        kind: &CallKind,
    ) -> Result<StepOutcome, Failure> {
        let mut id = [0; 36];
        let task =
            Task { attempt: convert::attempt(attempt, &mut id), input: convert::payload(input) };
        let called = match kind {
            CallKind::Execute { guarded } => {
                if *guarded {
                    let (verdict,) = guest.call(&steps.guard, (task.clone(),)).await?;
                    match verdict.map_err(|failed| self.failure(access, failed))? {
                        Verdict::Proceed => {}
                        Verdict::Skip => return Ok(StepOutcome::Skipped),
                        Verdict::Reject(why) => {
                            let why = results::detail(why, &self.limits, &access.secrets);
                            return Ok(StepOutcome::Rejected(why));
                        }
                    }
                }
                guest.call(&steps.execute, (task,)).await
            }
            CallKind::Resume { memo, undo, arrival } => {
                let mut child = [0; 36];
                let headers = match arrival {
                    outcome::Arrival::Message { message, .. } => convert::headers(message),
                    _ => Vec::new(),
                };
                let arrival: Arrival<'_> = convert::arrival(arrival, &headers, &mut child);
                let params = (task, optional(memo.as_ref()), optional(undo.as_ref()), arrival);
                guest.call(&steps.resume, params).await
            }
            CallKind::Compensate { undo } => {
                guest.call(&steps.compensate, (task, optional(undo.as_ref()))).await
            }
        };
        let in_doubt = is_resumed(kind) || guest.reached_out();
        let found = |failure| found(failure, in_doubt);
        let (returned,) = called.map_err(found)?;
        let outcome = returned.map_err(|failed| self.failure(access, failed))?;
        let active = self.active.load();
        let now = self.clock.now();
        let judge = Judge::new(&self.limits, access, &active.catalog, now);
        judge.outcome(outcome).map_err(found)
    }

    /// Keeps what a call's requests came to, of plugins of which that is asked. What can't be kept is missing in replays, and
    /// no reason for the attempt to fail.
    async fn keep_exchanges(
        &self,
        guest: &mut Guest,
        access: &Access,
        attempt: &Attempt,
        kind: &CallKind,
    ) {
        let (exchanges, Some((_, record))) = (guest.take_exchanges(), &self.recorded) else {
            return;
        };
        if exchanges.is_empty() {
            return;
        }
        if let Err(why) = record.keep(&http::http_call(attempt, kind), &exchanges).await {
            let (plugin, saga) = (access.name(), attempt.saga_id);
            tracing::warn!(plugin, %saga, step = %attempt.step, why, "requests were not recorded");
        }
    }

    /// Runs an attempt of a task, or hands over an event of a saga's life.
    pub(crate) async fn task(
        &self,
        plugin: &Loaded,
        call: TaskCall,
        lane: Lane,
    ) -> Ended<Vec<Effect>> {
        let hears = call.kind == TaskKind::In && call.message.topic.starts_with(HOOKS);
        let exports = &plugin.exports;
        let is_missing = if hears { exports.lifecycle.is_none() } else { exports.tasks.is_none() };
        if is_missing {
            // A plugin that was swapped for one that does not listen any more has heard of it.
            if hears {
                return Ended { outcome: Ok(Vec::new()), transaction: None, reached_out: false };
            }
            let message = format!("plugin {} does not export tasks", plugin.manifest.name);
            return Ended::failed(unavailable("tasks-missing", message));
        }
        let subject = Subject::Task { task: call.id, attempt: call.attempt };
        let access = plugin.access.of(Phase::Execute);
        let about = About {
            access,
            subject,
            context: None,
            deadline: call.deadline,
            key: call.idempotency_key.clone(),
            attempt: call.attempt,
            traceparent: call.traceparent.as_deref().map(Arc::from),
        };
        let mut guest = match self.guest(plugin, about, lane).await {
            Ok(guest) => guest,
            Err(failure) => return Ended::failed(failure),
        };
        let outcome = match (&exports.lifecycle, &exports.tasks) {
            (Some(lifecycle), _) if hears => self.hear(&mut guest, access, lifecycle, &call).await,
            (_, Some(tasks)) => self.handle(&mut guest, access, tasks, &call).await,
            _ => unreachable!("what is missing was found above"),
        };
        self.end(guest, plugin, outcome, true, false)
    }

    async fn hear(
        &self,
        guest: &mut Guest,
        access: &Access,
        lifecycle: &Lifecycle,
        call: &TaskCall,
    ) -> Result<Vec<Effect>, Failure> {
        let told = told(&call.message)?;
        let (saga, event) = (told.saga_id.to_string(), convert::event(&told.event));
        let params = (&*saga, &*told.saga, &*told.event_id, event);
        let (returned,) = guest.call(&lifecycle.on_event, params).await?;
        self.effects(access, returned)
    }

    async fn handle(
        &self,
        guest: &mut Guest,
        access: &Access,
        tasks: &Tasks,
        call: &TaskCall,
    ) -> Result<Vec<Effect>, Failure> {
        let (id, headers) = (call.id.to_string(), convert::headers(&call.message));
        let task = || convert::task(call, &id, &headers);
        match &call.kind {
            TaskKind::In => {
                let (returned,) = guest.call(&tasks.r#in, (task(),)).await?;
                self.effects(access, returned)
            }
            TaskKind::DeadIn(reason) => {
                let dead = convert::dead_task(call, reason, &id, &headers);
                let (returned,) = guest.call(&tasks.dead_in, (dead,)).await?;
                self.effects(access, returned)
            }
            TaskKind::Out => {
                let (returned,) = guest.call(&tasks.out, (task(),)).await?;
                self.outbound(access, returned)
            }
            TaskKind::DeadOut(reason) => {
                let dead = convert::dead_task(call, reason, &id, &headers);
                let (returned,) = guest.call(&tasks.dead_out, (dead,)).await?;
                self.outbound(access, returned)
            }
        }
    }

    fn effects(
        &self,
        access: &Access,
        returned: Result<Vec<types::Effect>, types::Failure>,
    ) -> Result<Vec<Effect>, Failure> {
        let effects = returned.map_err(|failed| self.failure(access, failed))?;
        let active = self.active.load();
        let now = self.clock.now();
        Judge::new(&self.limits, access, &active.catalog, now).effects(effects)
    }

    fn outbound(
        &self,
        access: &Access,
        returned: Result<Outbound, types::Failure>,
    ) -> Result<Vec<Effect>, Failure> {
        let outbound = returned.map_err(|failed| self.failure(access, failed))?;
        let active = self.active.load();
        let now = self.clock.now();
        Judge::new(&self.limits, access, &active.catalog, now).outbound(outbound)
    }

    fn failure(&self, access: &Access, failure: types::Failure) -> Failure {
        results::failure(failure, &self.limits, &access.secrets)
    }

    async fn guest(&self, plugin: &Loaded, about: About<'_>, lane: Lane) -> Result<Guest, Failure> {
        let About { access, subject, context, deadline, key, attempt, traceparent } = about;
        let until = self.until(deadline).ok_or_else(|| overloaded(plugin))?;
        let idle = locked(&plugin.idle).pop();
        let seed = self.replays.then(|| Seed::new(&key, attempt));
        let is_recorded =
            |(names, _): &(BTreeSet<PluginName>, _)| names.contains(&plugin.manifest.name);
        let recorded = self.recorded.as_ref().is_some_and(is_recorded);
        let requests = |http: &Arc<dyn GuestHttp>| {
            Requests::new(http.clone(), key, traceparent, until, recorded)
        };
        let session =
            |database: &Arc<dyn GuestDatabase>| Session::new(database.clone(), deadline, until);
        let state = CallState {
            access: access.clone(),
            until,
            lane,
            subject,
            context,
            clock: self.clock.clone(),
            limits: self.limits.clone(),
            log: LogBudget::default(),
            memory: MemoryBudget::new(self.limits.memory_bytes, self.limits.table_elements),
            host_calls: 0,
            chance: Chance::new(seed),
            wasi: (plugin.wasi && idle.is_none()).then(|| self.wasi(seed)),
            session: self.database.as_ref().filter(|_| access.database()).map(session),
            requests: self.http.as_ref().filter(|_| access.http()).map(requests),
        };
        match idle {
            Some(idle) => Ok(Guest::again(idle, state)),
            None => Guest::start(&plugin.pre, state).await,
        }
    }

    fn wasi(&self, seed: Option<Seed>) -> Box<Wasi> {
        Box::new(seed.map_or_else(Wasi::default, |seed| Wasi::replaying(&self.clock, seed)))
    }

    /// Hands the guest's transaction on with a good end, and drops it, which rolls it back, with any other.
    fn end<T>(
        &self,
        guest: Guest,
        plugin: &Loaded,
        outcome: Result<T, Failure>,
        kept: bool,
        resumed: bool,
    ) -> Ended<T> {
        let reached_out = guest.reached_out();
        let (session, idle) = guest.end(plugin.calls_per_instance, &self.kept);
        locked(&plugin.idle).extend(idle);
        let (outcome, transaction) = match (outcome, session) {
            (Ok(outcome), Some(session)) if kept => match session.finish() {
                Ok(transaction) => (Ok(outcome), transaction),
                Err(lost) => {
                    (Err(found(retryable("timeout", lost.message), resumed || reached_out)), None)
                }
            },
            (outcome, _) => (outcome, None),
        };
        Ended { outcome, transaction, reached_out }
    }

    /// When a call of this deadline ends; nothing where that has passed.
    pub(crate) fn until(&self, deadline: UnixMillis) -> Option<Instant> {
        let left = deadline.since(self.clock.now());
        (!left.is_zero()).then(|| Instant::now() + left.min(LONGEST))
    }
}

fn optional(payload: Option<&Payload>) -> Option<types::PayloadParam<'_>> {
    payload.map(convert::payload)
}

/// A call whose deadline passed in the queue: nobody was called.
pub(crate) fn overloaded(plugin: &Loaded) -> Failure {
    let message = format!(
        "plugin {}: the attempt's deadline passed before its turn came: too many calls at once",
        plugin.manifest.name
    );
    unavailable("overloaded", message)
}
