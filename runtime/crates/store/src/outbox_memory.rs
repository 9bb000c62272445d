//! The outbox in memory: for tests of code that sends messages, and for programs without a database. It ends with the
//! process; otherwise what holds for the one in Postgres holds for this one, save that a message that is published first
//! keeps the others of its key waiting meanwhile, and that there are no dead letters: what is given up is over.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Notify;
use wasaga_domain::{
    clock::{Clock as _, SystemClock},
    ids::HostId,
    message_search::{MessageFilter, TaskStatus},
};

use crate::{
    StoreError,
    emit::{EmitError, NewMessage},
    emit_check::{Checked, checked},
    lanes::{Flow, Lane},
    outbox::Outbox,
    outbox_find::{FoundMessage, FoundMessages, WholeMessage},
    publish_first::{AHEAD, First, Unpublished},
    task_out::{Backlog, Excluded, Leased, TaskOut},
    task_out_floor::Floor,
};

/// How long a key is known.
const HORIZON: Duration = Duration::from_hours(7 * 24);

/// See the module. Cheap to clone: all clones are the same outbox.
#[derive(Clone, Debug, Default)]
pub struct MemoryOutbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// A message is under way no more.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    last_id: i64,
    rows: BTreeMap<i64, Row>,
    /// Being published by their senders: nobody else sees them, and the others of their keys rest.
    under_way: BTreeMap<i64, Row>,
    emitted: HashMap<String, Emitted>,
    last_host: i64,
    hosts: HashMap<HostId, Instant>,
    lane: (Option<HostId>, i64),
}

#[derive(Debug)]
struct Row {
    task: TaskOut,
    found: FoundMessage,
    rollback: Option<TaskOut>,
    added: Instant,
    finished: Option<Instant>,
}

#[derive(Debug)]
struct Emitted {
    id: i64,
    content: Value,
    until: Instant,
}

impl MemoryOutbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while one of these messages' idempotency keys is that of a message under way: who has the key is not known
    /// before it has ended.
    async fn lock_for(&self, messages: &[NewMessage]) -> MutexGuard<'_, State> {
        loop {
            // It hears of what ends from here on.
            let ended = self.0.ended.notified();
            if let Some(state) = self.try_lock_for(messages) {
                return state;
            }
            ended.await;
        }
    }

    fn try_lock_for(&self, messages: &[NewMessage]) -> Option<MutexGuard<'_, State>> {
        Some(self.lock()).filter(|state| !state.awaits(messages))
    }

    /// What follows when the lane is this relay's.
    fn leased<T>(&self, host: HostId, lane: Lane, work: impl FnOnce(&mut State) -> T) -> Leased<T> {
        let mut state = self.lock();
        if lane.number == 0 && state.lane == (Some(host), lane.epoch) {
            Leased::Held(work(&mut state))
        } else {
            Leased::Lost
        }
    }
}

impl Row {
    /// Whether this one and another message have an order.
    fn has_key_of(&self, task: &TaskOut) -> bool {
        task.key.is_some() && self.task.topic == task.topic && self.task.key == task.key
    }
}

impl State {
    /// The messages' ids, and of each whether it is new.
    fn emit(&mut self, messages: &[NewMessage]) -> Result<Vec<(i64, bool)>, EmitError> {
        let checked = messages.iter().enumerate().map(|(n, message)| checked(n + 1, message));
        let checked = checked.collect::<Result<Vec<_>, _>>().map_err(EmitError::Invalid)?;
        // All or none: the keys first, as nothing else can fail.
        let mut seen: HashMap<&str, &Value> = HashMap::new();
        for (n, Checked { task, content, .. }) in checked.iter().enumerate() {
            let Some(key) = &task.idempotency_key else { continue };
            let known = self.known(key);
            let first = known.map(|known| &known.content).or(seen.get(key.as_str()).copied());
            if first.is_some_and(|first| first != content) {
                return Err(EmitError::KeyTaken(format!(
                    "message {}: another one was emitted under the key {key:?} already, and with other content: \
                     emit the same to be answered with its id, or emit under another key",
                    n + 1
                )));
            }
            seen.entry(key).or_insert(content);
        }
        Ok(checked.into_iter().map(|message| self.add(message)).collect())
    }

    fn known(&self, key: &str) -> Option<&Emitted> {
        self.emitted.get(key).filter(|emitted| emitted.until > Instant::now())
    }

    fn add(&mut self, message: Checked) -> (i64, bool) {
        let Checked { task, rollback, content, aggregate_id, event_type } = message;
        let known = task.idempotency_key.as_ref().and_then(|key| self.known(key));
        if let Some(known) = known {
            return (known.id, false);
        }
        let id = self.last_id + 1;
        if let Some(key) = task.idempotency_key.clone() {
            self.emitted.insert(key, Emitted { id, content, until: Instant::now() + HORIZON });
        }
        self.insert(task, rollback, aggregate_id, event_type);
        (id, true)
    }

    fn insert(
        &mut self,
        mut task: TaskOut,
        rollback: Option<TaskOut>,
        aggregate_id: Option<String>,
        event_type: Option<String>,
    ) {
        self.last_id += 1;
        task.id = self.last_id;
        let found = FoundMessage {
            id: task.id,
            message_id: task.message_id,
            status: TaskStatus::Wait,
            topic: task.topic.clone(),
            key: task.key.clone(),
            saga_id: None,
            idempotency_key: task.idempotency_key.clone(),
            aggregate_id,
            event_type,
            attempts: 0,
            error: None,
            created_at: SystemClock.now(),
            finished_at: None,
        };
        let row = Row { task, found, rollback, added: Instant::now(), finished: None };
        self.rows.insert(self.last_id, row);
    }

    fn end(&mut self, id: i64, status: TaskStatus, error: Option<Value>) -> Option<&mut Row> {
        let row = self.rows.get_mut(&id).filter(|row| row.found.status == TaskStatus::Wait)?;
        (row.found.status, row.found.error) = (status, error);
        row.found.finished_at = Some(SystemClock.now());
        row.finished = Some(Instant::now());
        Some(row)
    }

    fn waiting(&self) -> impl Iterator<Item = &Row> {
        self.rows.values().filter(|row| row.found.status.is_open())
    }

    fn lives(&self, host: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|until| *until > Instant::now())
    }

    /// Whether messages of this one's key are to be published before it.
    fn queues(&self, task: &TaskOut) -> bool {
        let ahead = || self.rests(task) || self.waiting().any(|row| row.has_key_of(task));
        task.key.is_some() && (ahead() || self.waiting().count() > AHEAD)
    }

    /// Whether a message of this one's key is under way.
    fn rests(&self, task: &TaskOut) -> bool {
        self.under_way.values().any(|row| row.has_key_of(task))
    }

    /// Whether a message under way has the idempotency key of one of these.
    fn awaits(&self, messages: &[NewMessage]) -> bool {
        let is_one =
            |key: &String| messages.iter().any(|m| m.idempotency_key.as_ref() == Some(key));
        self.under_way.values().filter_map(|row| row.task.idempotency_key.as_ref()).any(is_one)
    }

    /// Has a new message under way, unless it queues.
    fn begin(&mut self, id: i64) -> Option<TaskOut> {
        let row = self.rows.remove(&id)?;
        let task = row.task.clone();
        let queues = self.queues(&task);
        let place = if queues { &mut self.rows } else { &mut self.under_way };
        place.insert(id, row);
        (!queues).then_some(task)
    }

    fn commit(&mut self, id: i64) {
        if let Some(row) = self.under_way.remove(&id) {
            self.rows.insert(id, row);
        }
    }

    /// Makes a message one that was never emitted, unless it is committed.
    fn roll_back(&mut self, id: i64) {
        let row = self.under_way.remove(&id);
        if let Some(key) = row.and_then(|row| row.task.idempotency_key) {
            self.emitted.remove(&key);
        }
    }
}

/// A message under way.
struct UnderWay {
    outbox: MemoryOutbox,
    task: TaskOut,
}

#[async_trait]
impl Unpublished for UnderWay {
    fn task(&self) -> &TaskOut {
        &self.task
    }

    async fn published(self: Box<Self>) -> Result<(), StoreError> {
        let mut state = self.outbox.lock();
        state.commit(self.task.id);
        state.end(self.task.id, TaskStatus::Ready, None);
        Ok(())
    }

    async fn stored(self: Box<Self>) -> Result<(), StoreError> {
        self.outbox.lock().commit(self.task.id);
        Ok(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.outbox.lock().roll_back(self.task.id);
        self.outbox.0.ended.notify_waiters();
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn emit(&self, messages: &[NewMessage]) -> Result<Vec<i64>, EmitError> {
        let added = self.lock_for(messages).await.emit(messages)?;
        Ok(added.into_iter().map(|(id, _)| id).collect())
    }

    async fn emit_first(&self, message: &NewMessage) -> Result<First, EmitError> {
        let messages = std::slice::from_ref(message);
        let mut state = self.lock_for(messages).await;
        let added = state.emit(messages)?;
        let (id, is_new) = added.first().copied().unwrap_or_default();
        if !is_new {
            return Ok(First::Known(id));
        }
        let Some(task) = state.begin(id) else { return Ok(First::Stored(id)) };
        Ok(First::Publish(Box::new(UnderWay { outbox: self.clone(), task })))
    }

    async fn find(
        &self,
        filter: &MessageFilter,
        after: Option<i64>,
        limit: usize,
    ) -> Result<FoundMessages, StoreError> {
        let state = self.lock();
        let older = filter.older_than.unwrap_or_default();
        let same =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let fits = |row: &&Row| {
            let FoundMessage { status, topic, key, .. } = &row.found;
            filter.topic.as_ref().is_none_or(|wanted| wanted == topic)
                && filter
                    .key
                    .as_ref()
                    .is_none_or(|wanted| key.as_deref() == Some(wanted.as_bytes()))
                && (filter.statuses.is_empty() || filter.statuses.contains(status))
                && same(&filter.aggregate_id, &row.found.aggregate_id)
                && same(&filter.event_type, &row.found.event_type)
                && same(&filter.idempotency_key, &row.found.idempotency_key)
                && row.added.elapsed() >= older
        };
        let before = state.rows.range(..after.unwrap_or(i64::MAX)).rev().map(|(_, row)| row);
        let mut messages: Vec<_> =
            before.filter(fits).take(limit + 1).map(|row| row.found.clone()).collect();
        let more = messages.len() > limit;
        messages.truncate(limit);
        let next = messages.last().filter(|_| more).map(|last| last.id);
        Ok(FoundMessages { messages, next })
    }

    async fn message(&self, id: i64) -> Result<Option<WholeMessage>, StoreError> {
        let state = self.lock();
        Ok(state.rows.get(&id).map(|row| WholeMessage {
            found: row.found.clone(),
            headers: row.task.headers.clone(),
            value: row.task.value.clone(),
        }))
    }

    async fn relay_register(
        &self,
        _: &str,
        _: &str,
        lease: Duration,
    ) -> Result<HostId, StoreError> {
        let mut state = self.lock();
        state.last_host += 1;
        let host = HostId(state.last_host);
        state.hosts.insert(host, Instant::now() + lease);
        Ok(host)
    }

    async fn relay_beat(&self, relay: HostId, lease: Duration) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let lives = state.lives(relay);
        if lives {
            state.hosts.insert(relay, Instant::now() + lease);
        }
        Ok(lives)
    }

    async fn relay_leave(&self, relay: HostId) -> Result<(), StoreError> {
        self.lock().hosts.remove(&relay);
        Ok(())
    }

    async fn lanes_take(
        &self,
        host: HostId,
        flow: Flow,
        limit: i64,
    ) -> Result<Vec<Lane>, StoreError> {
        let mut state = self.lock();
        let is_free = state.lane.0.is_none_or(|holder| !state.lives(holder));
        if flow != Flow::Out || limit < 1 || !is_free || !state.lives(host) {
            return Ok(Vec::new());
        }
        let epoch = state.lane.1 + 1;
        state.lane = (Some(host), epoch);
        Ok(vec![Lane { flow: Flow::Out, number: 0, epoch }])
    }

    async fn lanes_of(&self, host: HostId, flow: Flow) -> Result<Vec<Lane>, StoreError> {
        let state = self.lock();
        let (holder, epoch) = state.lane;
        let held = flow == Flow::Out && holder == Some(host) && state.lives(host);
        Ok(held.then_some(Lane { flow: Flow::Out, number: 0, epoch }).into_iter().collect())
    }

    async fn lanes_release(
        &self,
        host: HostId,
        flow: Flow,
        numbers: &[i16],
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        if flow == Flow::Out && numbers.contains(&0) && state.lane.0 == Some(host) {
            state.lane.0 = None;
        }
        Ok(())
    }

    async fn task_out_waiting(
        &self,
        host: HostId,
        lane: Lane,
        excluded: &Excluded,
        limit: i64,
        bytes: i64,
    ) -> Result<Leased<Vec<TaskOut>>, StoreError> {
        let ids: HashSet<_> = excluded.ids.iter().collect();
        let keys: HashSet<_> = excluded.key_topics.iter().zip(&excluded.keys).collect();
        let is_meant = |row: &&Row| {
            let TaskOut { id, topic, key, .. } = &row.task;
            let rests = key.as_ref().is_some_and(|key| keys.contains(&(topic, key)));
            *id > excluded.after && !ids.contains(id) && !excluded.topics.contains(topic) && !rests
        };
        let read = |state: &mut State| {
            let mut before = 0;
            let within = |row: &&Row| {
                let fits = before < bytes;
                before += row.task.size() as i64;
                fits
            };
            let is_next = |row: &&Row| is_meant(row) && !state.rests(&row.task);
            let meant = state.waiting().filter(is_next).take(limit as usize).take_while(within);
            meant.map(|row| row.task.clone()).collect()
        };
        Ok(self.leased(host, lane, read))
    }

    async fn task_out_published(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
    ) -> Result<Leased<()>, StoreError> {
        let mark = |state: &mut State| {
            for id in ids {
                state.end(*id, TaskStatus::Ready, None);
            }
        };
        Ok(self.leased(host, lane, mark))
    }

    async fn task_out_refused(
        &self,
        host: HostId,
        lane: Lane,
        ids: &[i64],
        reasons: &[Value],
    ) -> Result<Leased<()>, StoreError> {
        let count = |state: &mut State| {
            for (id, reason) in ids.iter().zip(reasons) {
                let row = state.rows.get_mut(id);
                if let Some(row) = row.filter(|row| row.found.status == TaskStatus::Wait) {
                    row.task.attempts += 1;
                    row.found.attempts += 1;
                    row.found.error = Some(reason.clone());
                }
            }
        };
        Ok(self.leased(host, lane, count))
    }

    async fn task_out_given_up(
        &self,
        host: HostId,
        lane: Lane,
        id: i64,
        reason: &Value,
    ) -> Result<Leased<()>, StoreError> {
        let give_up = |state: &mut State| {
            let Some(row) = state.end(id, TaskStatus::ErrorRollbackNone, Some(reason.clone()))
            else {
                return;
            };
            row.found.attempts += 1;
            if let Some(rollback) = row.rollback.clone() {
                row.found.status = TaskStatus::Rollback;
                state.insert(rollback, None, None, None);
            }
        };
        Ok(self.leased(host, lane, give_up))
    }

    /// Nothing is stepped over here: there is no floor to begin at.
    async fn task_out_floor(&self, floor: Floor) -> Result<Floor, StoreError> {
        Ok(floor)
    }

    async fn task_out_forget(&self, retention_ms: i64, limit: i64) -> Result<u64, StoreError> {
        let retention = Duration::from_millis(retention_ms.cast_unsigned());
        let mut state = self.lock();
        let is_old =
            |row: &&Row| row.finished.is_some_and(|finished| finished.elapsed() > retention);
        let old: Vec<_> = (state.rows.values().filter(is_old))
            .map(|row| row.task.id)
            .take(limit as usize)
            .collect();
        for id in &old {
            state.rows.remove(id);
        }
        Ok(old.len() as u64)
    }

    async fn horizons_forget(&self, _: i64) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let known = state.emitted.len();
        state.emitted.retain(|_, emitted| emitted.until > Instant::now());
        Ok((known - state.emitted.len()) as u64)
    }

    async fn task_out_backlog(&self, limit: i64) -> Result<Backlog, StoreError> {
        let state = self.lock();
        let oldest = state.waiting().next().map(|row| row.added.elapsed().as_secs_f64());
        let waiting = state.waiting().take(limit as usize).count() as i64;
        Ok(Backlog { waiting, oldest_seconds: oldest.unwrap_or_default() })
    }
}
