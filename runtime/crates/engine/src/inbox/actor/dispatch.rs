//! Hands ready tasks to whom they are for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;
use wasaga_domain::{
    catalog::Recipient,
    definition::Definition,
    ids::{PluginName, TaskId},
    manifest::Locator,
    message::Message,
    outcome::{Effect, ErrorDetail, SagaStart},
    payload::Payload,
    ports::{TaskCall, TaskKind},
    retry::RetryPolicy,
    start::NewSaga,
};
use wasaga_store::{
    StoreError,
    commit::KeyedEffect,
    lanes::{Flow, Lane},
    task_in::{Reply, TaskEnd, TaskRecord, TaskResult},
};

use super::{
    super::{
        board::{Key, Queued},
        commit::{self, Delivery, Ended},
        end,
        locate::{self, Unfound},
    },
    Actor, BATCH, Call, Event,
};

/// A task that starts a saga.
type Starting = (Key, Queued, Arc<Definition>, Locator);

/// Between attempts to find somebody who takes a record.
const ABSENT: RetryPolicy = RetryPolicy::Exponential {
    initial_ms: 100,
    multiplier: 2.0,
    max_delay_ms: 10_000,
    max_attempts: None,
    jitter: 0.2,
};

/// A record whose host was lost so often in a row while its guest ran may be what kills the hosts.
const INTERRUPTIONS_TOLERATED: u16 = 2;

impl Actor {
    /// Hands ready tasks to whom they are for, as far as there is room.
    pub(super) async fn dispatch(&mut self) {
        let catalog = self.parts.catalog.catalog();
        let now = Instant::now();
        self.board.wake(now);
        let (mut calls, mut replies, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let mut planned = self.calls.clone();
        let mut total: usize = planned.values().sum();
        let mut back = Vec::new();
        for _ in 0..self.board.ready() {
            let room = total < self.limits.concurrency;
            // With so many in the way, who is behind them comes next time: they go to the end of the line.
            if back.len() >= BATCH || (!room && (self.delivering || replies.len() >= BATCH)) {
                break;
            }
            let Some(key) = self.board.take() else { break };
            let recipient = match self.flow {
                Flow::In => catalog.recipient(key.topic()),
                flow => catalog.handler(flow, key.topic()).map(Recipient::Plugin),
            };
            match recipient {
                Some(Recipient::Waits(_)) if self.delivering || replies.len() >= BATCH => {
                    back.push(key);
                }
                Some(Recipient::Waits(locator)) => {
                    let tasks = self.board.begin(&key, BATCH - replies.len(), now);
                    replies
                        .extend(tasks.into_iter().map(|task| (key.clone(), task, locator.clone())));
                }
                Some(Recipient::Start(definition, locator)) => {
                    let tasks = self.board.begin(&key, 1, now);
                    let start =
                        |task| (key.clone(), task, Arc::clone(&definition), locator.clone());
                    starts.extend(tasks.into_iter().map(start));
                }
                Some(Recipient::Plugin(plugin)) => {
                    let of_plugin = planned.entry(plugin.clone()).or_default();
                    if !room || *of_plugin >= self.limits.of_plugin(&plugin) {
                        back.push(key);
                    } else if let [task] = self.board.begin(&key, 1, now)[..] {
                        total += 1;
                        *of_plugin += 1;
                        calls.push((key, task, plugin));
                    }
                }
                None => self.nobody_takes(&key, now),
            }
        }
        for key in back {
            self.board.place(&key, now);
        }
        if calls.is_empty() && replies.is_empty() && starts.is_empty() {
            return;
        }
        let Some(host) = self.host else { return };
        let called: Vec<TaskId> = calls.iter().map(|(_, task, _)| task.id).collect();
        let others = replies.iter().map(|(_, task, _)| task.id);
        let others = others.chain(starts.iter().map(|(_, task, ..)| task.id));
        let ids: Vec<TaskId> = called.iter().copied().chain(others).collect();
        let read = self.parts.store.tasks_read(self.flow, host, &ids, &called).await;
        self.hand_over(calls, replies, starts, read);
    }

    fn nobody_takes(&mut self, key: &Key, now: Instant) {
        self.hold_off(key, now);
        let topic = key.topic();
        if self.flow == Flow::In && self.may_warn(topic, now) {
            tracing::warn!(topic, "no active plugin subscribes to the topic: its records wait");
        }
    }

    /// The schema of the value of a key's first record is not here.
    fn unread_yet(&mut self, key: &Key, why: &str, now: Instant) {
        let times = self.hold_off(key, now);
        self.count("", "unavailable");
        let topic = key.topic();
        // The first time it is only on its way.
        if times > 1 && self.may_warn(topic, now) {
            tracing::warn!(topic, "a record's value can't be read yet, and its key waits: {why}");
        }
    }

    /// Gives a taken key back, to be tried again later, each time in a row later still; answers with how many times.
    fn hold_off(&mut self, key: &Key, now: Instant) -> u32 {
        let misses = self.board.miss(key);
        self.board.hold(key, now + absent_for(misses), now);
        misses
    }

    /// Whether it is a minute since something was said about this topic.
    fn may_warn(&mut self, topic: &str, now: Instant) -> bool {
        let may = self.warned.get(topic).is_none_or(|at| at.elapsed() > Duration::from_mins(1));
        if may {
            self.warned.insert(topic.to_owned(), now);
        }
        may
    }

    fn hand_over(
        &mut self,
        calls: Vec<(Key, Queued, PluginName)>,
        replies: Vec<(Key, Queued, Locator)>,
        starts: Vec<Starting>,
        read: Result<Vec<TaskRecord>, StoreError>,
    ) {
        let now = Instant::now();
        let mut records: HashMap<TaskId, TaskRecord> = match read {
            Ok(records) => records.into_iter().map(|record| (record.id, record)).collect(),
            Err(error) => {
                tracing::warn!(%error, "the inbox can't read its tasks");
                let keys = calls.iter().map(|(key, ..)| key);
                let keys = keys.chain(replies.iter().map(|(key, ..)| key));
                for key in keys.chain(starts.iter().map(|(key, ..)| key)) {
                    self.board.hold(key, now + self.options.poll, now);
                }
                return;
            }
        };
        for (key, task, plugin) in calls {
            match (records.remove(&task.id), self.lanes.get(task.lane)) {
                (Some(TaskRecord { message: Err(what), .. }), _) => {
                    self.give_up(key, task, ErrorDetail::new("unreadable", what));
                }
                (Some(TaskRecord { interruptions, .. }), _)
                    if interruptions > INTERRUPTIONS_TOLERATED =>
                {
                    let why = format!(
                        "its host was lost {interruptions} times in a row while its guest ran"
                    );
                    self.give_up(key, task, ErrorDetail::new("interrupted", why));
                }
                (Some(_), _) if self.is_handled_again(task) => {
                    let why = format!(
                        "plugins were called {} times, and it was given up again",
                        task.attempts
                    );
                    self.give_up(key, task, ErrorDetail::new("handled-again", why));
                }
                (Some(record), Some(lane)) => self.call(key, task, lane, plugin, record),
                // It ended under another host's hand, before the lane was ours.
                _ => {
                    self.board.end(&key, task.id);
                    self.board.place(&key, now);
                }
            }
        }
        for (key, task, definition, locator) in starts {
            let (Some(record), Some(lane)) = (records.remove(&task.id), self.lanes.get(task.lane))
            else {
                self.board.end(&key, task.id);
                self.board.place(&key, now);
                continue;
            };
            match self.start(&definition, &locator, &record) {
                Ok(effect) => {
                    self.count("", "ready");
                    let result = TaskResult::Ready(vec![effect]);
                    let attempts = task.attempts + 1;
                    let end = TaskEnd { id: task.id, lane, result, attempts, digest: None };
                    self.ended.push(Ended { key, end });
                }
                Err(Unfound::Later(why)) => self.unread_yet(&key, &why, now),
                Err(Unfound::Nothing(reason)) => self.give_up(key, task, reason),
            }
        }
        self.deliver(replies, records);
    }

    /// Whether it is the letter of a message that was sent in the place of other letters, after as many attempts for
    /// them as one may have.
    fn is_handled_again(&self, task: Queued) -> bool {
        let most = self.limits.retry.max_attempts();
        self.flow == Flow::DeadOut && most.is_some_and(|most| task.attempts >= most)
    }

    /// The saga that a trigger's record starts; else why it starts none.
    fn start(
        &self,
        definition: &Definition,
        locator: &Locator,
        record: &TaskRecord,
    ) -> Result<KeyedEffect, Unfound> {
        let message = record.message.as_ref();
        let message = message.map_err(|what| ErrorDetail::new("unreadable", what))?;
        let readable = locate::readable(&*self.parts.values, message)?;
        let key = locate::business_key(locator, &readable)?;
        let input = Payload::json(readable.value.clone().unwrap_or_default());
        if let Some(why) = definition.refusal(&input) {
            let why = format!("saga {}: {why}", definition.name);
            return Err(ErrorDetail::new("bad-input", why).into());
        }
        let now = self.parts.clock.now();
        let saga = NewSaga::of(definition, Some(key), input, Uuid::now_v7(), now);
        let saga = NewSaga { traceparent: locate::header(message, "traceparent"), ..saga };
        let idempotency_key = locate::idempotency_key(record, message);
        let effect = Effect::Start(Box::new(SagaStart { saga, child: None }));
        Ok(KeyedEffect { effect, idempotency_key })
    }

    fn call(&mut self, key: Key, task: Queued, lane: Lane, plugin: PluginName, record: TaskRecord) {
        let Ok(message) = &record.message else { return };
        let key_of_task = locate::idempotency_key(&record, message);
        // To handle a letter is not to do what it was meant for: whoever is called for it must not take it for that.
        let told = match self.flow {
            Flow::DeadIn | Flow::DeadOut => format!("{key_of_task}/dead"),
            Flow::In | Flow::Out | Flow::HandleOut => key_of_task.clone(),
        };
        // But what is sent in a message's place is meant for the same.
        let idempotency_key = if self.flow == Flow::DeadOut { key_of_task } else { told.clone() };
        let of_record = record.traceparent.clone();
        let traceparent = of_record.or_else(|| locate::header(message, "traceparent"));
        let message: Message = message.clone();
        let kind = match (self.flow, record.reason) {
            (Flow::DeadIn, Some(reason)) => TaskKind::DeadIn(reason),
            (Flow::DeadOut, Some(reason)) => TaskKind::DeadOut(reason),
            (Flow::HandleOut, _) => TaskKind::Out,
            _ => TaskKind::In,
        };
        let call = TaskCall {
            id: task.id,
            plugin: plugin.clone(),
            attempt: task.attempts + 1,
            idempotency_key: told,
            deadline: self.parts.clock.now().after(self.options.attempt_timeout),
            traceparent,
            message,
            kind,
        };
        let (life, sender) = (self.life, self.sender.clone());
        let under_way = Box::new(Call { key, task, lane, plugin, idempotency_key });
        let report = move |report| {
            // Nobody listens any more when the inbox stopped: dropping the report rolls its transaction back.
            let _ = sender.send(Event::Reported { life, call: under_way, report });
        };
        *self.calls.entry(call.plugin.clone()).or_default() += 1;
        self.parts.executor.handle(call, Box::new(report));
    }

    fn deliver(
        &mut self,
        replies: Vec<(Key, Queued, Locator)>,
        mut records: HashMap<TaskId, TaskRecord>,
    ) {
        let Some(host) = self.host else { return };
        let (mut deliveries, mut held) = (Vec::with_capacity(replies.len()), HashSet::new());
        let now = Instant::now();
        for (key, task, locator) in replies {
            let (Some(lane), Some(record)) = (self.lanes.get(task.lane), records.remove(&task.id))
            else {
                self.board.end(&key, task.id);
                self.board.place(&key, now);
                continue;
            };
            // What comes behind a record that can't be read yet waits with it.
            if held.contains(&key) {
                self.board.place(&key, now);
                continue;
            }
            let message = record.message.map_err(|what| ErrorDetail::new("unreadable", what));
            let found = message.map_err(Unfound::from).and_then(|message| {
                Ok((locate::correlation(&locator, &message, &*self.parts.values)?, message))
            });
            match found {
                Ok((correlation, message)) => {
                    let attempts = task.attempts + 1;
                    let reply = Reply { task: task.id, lane, attempts, correlation, message };
                    deliveries.push(Delivery { key, reply });
                }
                Err(Unfound::Later(why)) => {
                    self.unread_yet(&key, &why, now);
                    held.insert(key);
                }
                Err(Unfound::Nothing(reason)) => self.give_up(key, task, reason),
            }
        }
        if deliveries.is_empty() {
            return;
        }
        self.delivering = true;
        let (life, sender, store) = (self.life, self.sender.clone(), self.parts.store.clone());
        let (sagas, ttl) = (self.parts.sagas.clone(), self.options.early_reply_ttl);
        self.commits.spawn(async move {
            let (fates, woke) = commit::deliver(&store, host, ttl, deliveries).await;
            if woke {
                sagas.notify_one();
            }
            let _ = sender.send(Event::Delivered { life, fates });
        });
    }

    /// Given up without a call.
    fn give_up(&mut self, key: Key, task: Queued, reason: ErrorDetail) {
        if let Some(lane) = self.lanes.get(task.lane) {
            self.count("", "error");
            let result = TaskResult::Error(end::storable(reason));
            let end =
                TaskEnd { id: task.id, lane, result, attempts: task.attempts + 1, digest: None };
            self.ended.push(Ended { key, end });
        }
    }
}

/// How long a key waits after so many misses in a row.
pub(super) fn absent_for(misses: u32) -> Duration {
    ABSENT.delay(misses, None, rand::random()).unwrap_or(Duration::from_secs(10))
}
