//! What the relay has in hand, and which message may go next. Pure: no I/O, and time is passed in.
//!
//! Of a (topic, key) at most one message is with the broker; later ones queue behind it. When it fails, its key rests:
//! what queued is forgotten and read again from the table after the rest, so that a key that can't move holds
//! no memory and stops nobody else. The same for a topic that refuses its messages, and for a message without key.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use wasaga_domain::retry::RetryPolicy;
use wasaga_store::task_out::{Excluded, TaskOut};

/// Messages that may queue behind one key; later ones stay in the table, so that a hot key leaves room for others.
const QUEUE: usize = 64;
/// Keys, and messages without one, of a topic that may rest by themselves: of a topic with more of them nothing is read
/// until some are over, so that what a read leaves out stays short.
const RESTING: usize = 1_000;
/// For so many of the longest rests after its end a rest is remembered: one that follows by then is longer.
const REMEMBERED: u32 = 6;

/// What rests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Topic(String),
    Key(String, Vec<u8>),
    /// A message without key.
    Row(String, i64),
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    failures: u32,
    until: Instant,
}

/// A message that was handed to the broker.
#[derive(Debug)]
pub(super) struct Sending {
    topic: String,
    key: Option<Vec<u8>>,
    size: usize,
    /// Refusals before this one.
    attempts: i32,
    max_attempts: Option<i32>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    /// How long rests are, without end.
    pace: RetryPolicy,
    /// Refusals after which a message is given up that has no maximum of its own.
    max_attempts: Option<u32>,
    /// Rows that a read must not bring: ready, queued, sending, or published and not marked yet.
    known: HashSet<i64>,
    bytes: usize,
    ready: VecDeque<TaskOut>,
    /// Keys with a message that is ready or sending, and what queues behind it.
    busy: HashMap<(String, Vec<u8>), VecDeque<TaskOut>>,
    sending: HashMap<i64, Sending>,
    published: Vec<i64>,
    rests: HashMap<Place, Rest>,
    /// Places that were put to rest while a read was under way: what it brings of them is stale.
    stale: Option<HashSet<Place>>,
}

impl Book {
    /// `retry` tells how long rests are, and after how many refusals a message is given up.
    pub(super) fn new(retry: &RetryPolicy) -> Self {
        Self {
            pace: retry.without_end(),
            max_attempts: retry.max_attempts(),
            known: HashSet::new(),
            bytes: 0,
            ready: VecDeque::new(),
            busy: HashMap::new(),
            sending: HashMap::new(),
            published: Vec::new(),
            rests: HashMap::new(),
            stale: None,
        }
    }

    /// Messages in hand.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Bytes in hand that the broker does not have yet, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages of which a report is to come.
    pub(super) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// Published messages that are to be marked.
    pub(super) fn published(&self) -> usize {
        self.published.len()
    }

    /// Begins a read: what it must leave out. [`Self::read`] ends it.
    pub(super) fn start_read(&mut self, now: Instant) -> Excluded {
        self.stale = Some(HashSet::new());
        let remembered = REMEMBERED * self.delay(u32::MAX);
        self.rests.retain(|_, rest| rest.until + remembered > now);
        let mut excluded =
            Excluded { ids: self.known.iter().copied().collect(), ..Excluded::default() };
        for ((topic, key), _) in self.busy.iter().filter(|(_, queue)| queue.len() >= QUEUE) {
            exclude(&mut excluded, topic, key);
        }
        let mut resting: HashMap<&String, (Vec<&Vec<u8>>, Vec<i64>)> = HashMap::new();
        for (place, _) in self.rests.iter().filter(|(_, rest)| rest.until > now) {
            match place {
                Place::Topic(topic) => excluded.topics.push(topic.clone()),
                Place::Key(topic, key) => resting.entry(topic).or_default().0.push(key),
                Place::Row(topic, id) => resting.entry(topic).or_default().1.push(*id),
            }
        }
        for (topic, (keys, rows)) in resting {
            if keys.len() + rows.len() > RESTING {
                excluded.topics.push(topic.clone());
                continue;
            }
            for key in keys {
                exclude(&mut excluded, topic, key);
            }
            excluded.ids.extend(rows);
        }
        excluded
    }

    /// Ends a read with what it brought, in the order of ids.
    pub(super) fn read(&mut self, rows: Vec<TaskOut>, now: Instant) {
        let stale = self.stale.take().unwrap_or_default();
        for row in rows {
            let rests = |place: &Place| stale.contains(place) || self.rests_at(place, now);
            let topic = Place::Topic(row.topic.clone());
            if rests(&topic) || rests(&place(row.id, &row.topic, row.key.as_ref())) {
                continue;
            }
            let size = row.size();
            let id = row.id;
            match &row.key {
                None => self.ready.push_back(row),
                Some(key) => match self.busy.get_mut(&(row.topic.clone(), key.clone())) {
                    Some(queue) if queue.len() >= QUEUE => continue,
                    Some(queue) => queue.push_back(row),
                    None => {
                        self.busy.insert((row.topic.clone(), key.clone()), VecDeque::new());
                        self.ready.push_back(row);
                    }
                },
            }
            self.known.insert(id);
            self.bytes += size;
        }
    }

    /// The next message to hand to the broker. [`Self::sent`] or [`Self::put_back`] follows.
    pub(super) fn next(&mut self) -> Option<TaskOut> {
        self.ready.pop_front()
    }

    /// The broker can't take it now.
    pub(super) fn put_back(&mut self, row: TaskOut) {
        self.ready.push_front(row);
    }

    /// It was handed over: a report will come.
    pub(super) fn sent(&mut self, row: TaskOut) {
        let size = row.size();
        let TaskOut { id, topic, key, attempts, max_attempts, .. } = row;
        self.sending.insert(id, Sending { topic, key, size, attempts, max_attempts });
    }

    /// The broker has it. Its key goes on at once; it is excluded from reads until it is marked.
    pub(super) fn acknowledged(&mut self, id: i64, now: Instant) {
        let Some(sending) = self.sending.remove(&id) else {
            return;
        };
        self.published.push(id);
        self.rests.remove(&Place::Topic(sending.topic.clone()));
        self.rests.remove(&place(id, &sending.topic, sending.key.as_ref()));
        self.advance(sending, now);
    }

    /// It failed, and its own place rests. Answers with when it ends.
    pub(super) fn failed(&mut self, id: i64, now: Instant) -> Option<Instant> {
        let sending = self.sending.remove(&id)?;
        let until = self.rest(place(id, &sending.topic, sending.key.as_ref()), now);
        self.forget(id, sending);
        Some(until)
    }

    /// It was refused, and its topic rests; the message stays in hand until [`Self::counted`] or [`Self::given_up`].
    /// Answers with whether this was its last refusal, by the policy where the message has no maximum of its own, and
    /// when the rest ends.
    pub(super) fn refused(&mut self, id: i64, now: Instant) -> Option<(bool, Instant)> {
        let sending = self.sending.get(&id)?;
        let refusals = i64::from(sending.attempts) + 1;
        let own = sending.max_attempts.map(i64::from);
        let is_last = own.or(self.max_attempts.map(i64::from)).is_some_and(|max| refusals >= max);
        let topic = sending.topic.clone();
        Some((is_last, self.rest(Place::Topic(topic), now)))
    }

    /// Its refusal is stored: it is read again later.
    pub(super) fn counted(&mut self, id: i64) {
        let Some(sending) = self.sending.remove(&id) else {
            return;
        };
        if let Some(stale) = &mut self.stale {
            stale.insert(place(id, &sending.topic, sending.key.as_ref()));
        }
        self.forget(id, sending);
    }

    /// It is no more; its key goes on.
    pub(super) fn given_up(&mut self, id: i64, now: Instant) {
        let Some(sending) = self.sending.remove(&id) else {
            return;
        };
        self.known.remove(&id);
        self.advance(sending, now);
    }

    /// Takes out what is to be marked, at most `limit` of it.
    pub(super) fn take_published(&mut self, limit: usize) -> Vec<i64> {
        let from = self.published.len().saturating_sub(limit);
        self.published.split_off(from)
    }

    /// They are marked.
    pub(super) fn marked(&mut self, ids: &[i64]) {
        for id in ids {
            self.known.remove(id);
        }
    }

    /// The producer is another one: no report will come of what the old one had, except of what was decided already.
    pub(super) fn producer_lost(&mut self, decided: &HashSet<i64>, now: Instant) {
        let lost: Vec<i64> =
            self.sending.keys().copied().filter(|id| !decided.contains(id)).collect();
        for id in lost {
            self.failed(id, now);
        }
    }

    /// The message's key goes on with what queues, unless it or its topic rests.
    fn advance(&mut self, sending: Sending, now: Instant) {
        self.bytes = self.bytes.saturating_sub(sending.size);
        let Some(key) = sending.key else { return };
        if self.rests_at(&Place::Topic(sending.topic.clone()), now) {
            self.forget_queue(sending.topic, key);
            return;
        }
        let busy = (sending.topic, key);
        match self.busy.get_mut(&busy).and_then(VecDeque::pop_front) {
            Some(next) => self.ready.push_back(next),
            None => {
                self.busy.remove(&busy);
            }
        }
    }

    fn forget(&mut self, id: i64, sending: Sending) {
        self.known.remove(&id);
        self.bytes = self.bytes.saturating_sub(sending.size);
        if let Some(key) = sending.key {
            self.forget_queue(sending.topic, key);
        }
    }

    fn forget_queue(&mut self, topic: String, key: Vec<u8>) {
        if let Some(queue) = self.busy.remove(&(topic, key)) {
            for row in queue {
                self.known.remove(&row.id);
                self.bytes = self.bytes.saturating_sub(row.size());
            }
        }
    }

    fn rest(&mut self, place: Place, now: Instant) -> Instant {
        if let Some(stale) = &mut self.stale {
            stale.insert(place.clone());
        }
        let Rest { failures, until } =
            self.rests.get(&place).copied().unwrap_or(Rest { failures: 0, until: now });
        // Many messages of one topic fail at once: that is one failure.
        if until > now {
            return until;
        }
        let rest = Rest { failures: failures + 1, until: now + self.delay(failures + 1) };
        self.rests.insert(place, rest);
        rest.until
    }

    /// After so many failures in a row, of however many messages.
    fn delay(&self, failures: u32) -> Duration {
        self.pace.delay(failures, None, 0.0).unwrap_or_default()
    }

    fn rests_at(&self, place: &Place, now: Instant) -> bool {
        self.rests.get(place).is_some_and(|rest| rest.until > now)
    }
}

fn exclude(from: &mut Excluded, topic: &str, key: &[u8]) {
    from.key_topics.push(topic.to_owned());
    from.keys.push(key.to_owned());
}

fn place(id: i64, topic: &str, key: Option<&Vec<u8>>) -> Place {
    match key {
        Some(key) => Place::Key(topic.to_owned(), key.clone()),
        None => Place::Row(topic.to_owned(), id),
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
