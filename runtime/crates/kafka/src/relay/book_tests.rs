//! The book on random events: what is handed to the broker keeps the order of each key.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn row(id: i64, topic: &str, key: Option<u8>) -> TaskOut {
    TaskOut {
        id,
        message_id: Uuid::nil(),
        saga_id: None,
        idempotency_key: None,
        traceparent: None,
        topic: topic.into(),
        key: key.map(|key| vec![key]),
        headers: serde_json::json!([]),
        value: None,
        attempts: 0,
        max_attempts: None,
    }
}

const FIRST_REST: Duration = Duration::from_millis(100);

const RETRY: RetryPolicy = RetryPolicy::Exponential {
    initial_ms: 100,
    multiplier: 2.0,
    max_delay_ms: 10_000,
    max_attempts: Some(3),
    jitter: 0.0,
};

fn book() -> Book {
    Book::new(&RETRY)
}

fn sends(book: &mut Book) -> Vec<i64> {
    let mut ids = Vec::new();
    while let Some(row) = book.next() {
        ids.push(row.id);
        book.sent(row);
    }
    ids
}

#[test]
fn one_message_of_a_key_at_a_time() {
    let (mut book, now) = (book(), Instant::now());
    book.start_read(now);
    let rows =
        vec![row(1, "t", Some(1)), row(2, "t", Some(1)), row(3, "t", Some(2)), row(4, "t", None)];
    book.read(rows, now);
    assert_eq!(sends(&mut book), [1, 3, 4]);
    book.acknowledged(1, now);
    assert_eq!(sends(&mut book), [2]);
}

#[test]
fn a_failed_key_rests_and_the_others_go_on() {
    let (mut book, now) = (book(), Instant::now());
    book.start_read(now);
    book.read(vec![row(1, "t", Some(1)), row(2, "t", Some(1)), row(3, "t", Some(2))], now);
    sends(&mut book);
    let until = book.failed(1, now).expect("it was being sent");
    assert_eq!(book.len(), 1, "only 3 is in hand");
    let excluded = book.start_read(now);
    assert_eq!((excluded.keys, excluded.ids), (vec![vec![1]], vec![3]));
    book.read(vec![], now);
    assert!(book.start_read(until).keys.is_empty());
}

/// Fails, or is refused, as often as there are rests, each as soon as the last one is over.
fn rests(
    book: &mut Book,
    count: usize,
    mut fail: impl FnMut(&mut Book, Instant) -> Instant,
) -> Vec<u128> {
    let mut now = Instant::now();
    let rest = || {
        book.start_read(now);
        book.read(vec![row(1, "t", Some(1))], now);
        assert_eq!(sends(book), [1], "it is not read after its rest");
        let until = fail(book, now);
        let rest = until - now;
        now = until;
        rest.as_millis()
    };
    iter::repeat_with(rest).take(count).collect()
}

#[test]
fn rests_grow_as_the_policy_says_and_a_failure_without_verdict_never_ends() {
    let mut book = book();
    let grown = rests(&mut book, 9, |book, now| book.failed(1, now).expect("it was being sent"));
    assert_eq!(grown, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    let mut book = Book::new(&RetryPolicy::Fixed { delay_ms: 100, max_attempts: Some(3) });
    let fixed = rests(&mut book, 5, |book, now| book.failed(1, now).expect("it was being sent"));
    assert_eq!(fixed, [100; 5], "a maximum is a message's, and not a key's");
}

#[test]
fn an_acknowledged_message_begins_its_keys_rests_anew() {
    let (mut book, now) = (book(), Instant::now());
    rests(&mut book, 3, |book, now| book.failed(1, now).expect("it was being sent"));
    let later = now + Duration::from_mins(1);
    book.start_read(later);
    book.read(vec![row(1, "t", Some(1))], later);
    sends(&mut book);
    book.acknowledged(1, later);
    book.start_read(later);
    book.read(vec![row(2, "t", Some(1))], later);
    sends(&mut book);
    assert_eq!(book.failed(2, later), Some(later + FIRST_REST));
}

#[test]
fn a_topics_rests_grow_too_and_its_last_refusal_is_the_policys_or_the_messages_own() {
    let mut book = book();
    let grown = rests(&mut book, 4, |book, now| {
        let (_, until) = book.refused(1, now).expect("it was being sent");
        book.counted(1);
        until
    });
    assert_eq!(grown, [100, 200, 400, 800]);

    let without_end = RetryPolicy::Fixed { delay_ms: 5, max_attempts: None };
    let last = |retry: &RetryPolicy, own: Option<i32>, attempts: i32| {
        let (mut book, now) = (Book::new(retry), Instant::now());
        book.start_read(now);
        book.read(vec![TaskOut { attempts, max_attempts: own, ..row(1, "t", Some(1)) }], now);
        sends(&mut book);
        book.refused(1, now).expect("it was being sent").0
    };
    for (own, attempts, expected) in [
        (None, 1, (false, false)),
        (None, 2, (true, false)),
        (Some(2), 0, (false, false)),
        (Some(2), 1, (true, true)),
        (Some(5), 3, (false, false)),
    ] {
        let told = (last(&RETRY, own, attempts), last(&without_end, own, attempts));
        assert_eq!(told, expected, "maximum {own:?}, refused {attempts} times before");
    }
}

#[test]
fn what_a_read_leaves_out_is_bounded_however_much_rests() {
    let (mut book, now) = (book(), Instant::now());
    // Each second one without a key.
    let message = |id: i64| {
        let key = (id % 2 == 0).then(|| id.to_be_bytes().to_vec());
        TaskOut { key, ..row(id, "poisoned", None) }
    };
    let bound = RESTING as i64;
    for (ids, resting) in [(1..bound + 1, RESTING / 2), (bound + 1..100_001, 0)] {
        book.start_read(now);
        book.read(ids.clone().map(message).collect(), now);
        sends(&mut book);
        for id in ids {
            book.failed(id, now);
        }
        let excluded = book.start_read(now);
        assert_eq!((excluded.keys.len(), excluded.ids.len()), (resting, resting));
        book.read(vec![], now);
    }
    let excluded = book.start_read(now);
    assert_eq!((excluded.topics, excluded.keys.len()), (vec!["poisoned".to_owned()], 0));
    book.read(vec![row(200_000, "sound", Some(1))], now);
    assert_eq!(sends(&mut book), [200_000], "other topics go on");
    let later = now + FIRST_REST;
    assert_eq!(book.start_read(later).topics, [""; 0], "and this one when the rests are over");
}

#[test]
fn what_a_read_brings_of_a_key_that_failed_meanwhile_is_stale() {
    let (mut book, now) = (book(), Instant::now());
    book.start_read(now);
    book.read(vec![row(1, "t", Some(1))], now);
    sends(&mut book);
    book.start_read(now);
    let until = book.failed(1, now).expect("it was being sent");
    book.read(vec![row(2, "t", Some(1))], until + Duration::from_secs(1));
    assert_eq!(sends(&mut book), [0; 0]);
}

#[test]
fn a_hot_key_leaves_room() {
    let (mut book, now) = (book(), Instant::now());
    book.start_read(now);
    book.read((1..1_000).map(|id| row(id, "t", Some(1))).collect(), now);
    assert_eq!(book.len(), QUEUE + 1);
    assert_eq!(book.start_read(now).keys, [[1]]);
}

/// One thing that happens; numbers choose among what can.
#[derive(Clone, Debug)]
enum Event {
    Insert { topic: u8, key: Option<u8> },
    StartRead,
    EndRead,
    Acknowledge(prop::sample::Index),
    Fail(prop::sample::Index),
    Refuse(prop::sample::Index),
    Decide(prop::sample::Index, bool),
    Mark,
    LoseProducer,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..2_u8, prop::option::of(0..3_u8)).prop_map(|(topic, key)| Event::Insert { topic, key }),
        3 => Just(Event::StartRead),
        3 => Just(Event::EndRead),
        4 => index().prop_map(Event::Acknowledge),
        1 => index().prop_map(Event::Fail),
        1 => index().prop_map(Event::Refuse),
        2 => (index(), any::<bool>()).prop_map(|(index, last)| Event::Decide(index, last)),
        1 => Just(Event::Mark),
        1 => Just(Event::LoseProducer),
        1 => (0..400_u64).prop_map(Event::Wait),
    ]
}

/// Postgres and the broker as the book sees them.
struct World {
    book: Book,
    now: Instant,
    table: BTreeMap<i64, TaskOut>,
    ended: BTreeSet<i64>,
    sending: BTreeSet<i64>,
    deciding: BTreeSet<i64>,
    read: Option<Vec<TaskOut>>,
    next: i64,
}

impl World {
    fn new() -> Self {
        Self {
            book: book(),
            now: Instant::now(),
            table: BTreeMap::new(),
            ended: BTreeSet::new(),
            sending: BTreeSet::new(),
            deciding: BTreeSet::new(),
            read: None,
            next: 0,
        }
    }

    fn start_read(&mut self) {
        let excluded = self.book.start_read(self.now);
        let keys: HashSet<_> = excluded.key_topics.iter().zip(&excluded.keys).collect();
        let chosen = self.table.values().filter(|row| {
            !excluded.ids.contains(&row.id)
                && !excluded.topics.contains(&row.topic)
                && row.key.as_ref().is_none_or(|key| !keys.contains(&(&row.topic, key)))
        });
        self.read = Some(chosen.take(7).cloned().collect());
    }

    fn apply(&mut self, event: Event) {
        let now = self.now;
        let reports: Vec<_> = self.sending.difference(&self.deciding).copied().collect();
        let pick = |index: prop::sample::Index, of: &[i64]| {
            (!of.is_empty()).then(|| of[index.index(of.len())])
        };
        match event {
            Event::Insert { topic, key } => {
                self.next += 1;
                self.table.insert(self.next, row(self.next, &format!("t{topic}"), key));
            }
            Event::StartRead if self.read.is_none() => self.start_read(),
            Event::EndRead => {
                if let Some(rows) = self.read.take() {
                    self.book.read(rows, now);
                }
            }
            Event::Acknowledge(index) => {
                if let Some(id) = pick(index, &reports) {
                    self.sending.remove(&id);
                    self.ended.insert(id);
                    self.book.acknowledged(id, now);
                }
            }
            Event::Fail(index) => {
                if let Some(id) = pick(index, &reports) {
                    self.sending.remove(&id);
                    self.book.failed(id, now);
                }
            }
            Event::Refuse(index) => {
                if let Some(id) = pick(index, &reports) {
                    self.deciding.insert(id);
                    self.book.refused(id, now);
                }
            }
            Event::Decide(index, last) => {
                let deciding: Vec<_> = self.deciding.iter().copied().collect();
                if let Some(id) = pick(index, &deciding) {
                    self.deciding.remove(&id);
                    self.sending.remove(&id);
                    if last {
                        self.ended.insert(id);
                        self.table.remove(&id);
                        self.book.given_up(id, now);
                    } else {
                        self.book.counted(id);
                    }
                }
            }
            Event::Mark => {
                let ids = self.book.take_published(usize::MAX);
                for id in &ids {
                    self.table.remove(id);
                }
                self.book.marked(&ids);
            }
            Event::LoseProducer => {
                self.book.producer_lost(&self.deciding.iter().copied().collect(), now);
                self.sending = self.deciding.clone();
            }
            Event::Wait(ms) => self.now += Duration::from_millis(ms),
            Event::StartRead => {}
        }
    }

    /// Hands over what is ready, and checks each: nothing of its key that came before it is still to be sent.
    fn send(&mut self) {
        while let Some(row) = self.book.next() {
            assert!(!self.ended.contains(&row.id), "{} is sent again", row.id);
            if row.key.is_some() {
                let open = self.table.values().find(|other| {
                    other.id < row.id
                        && other.topic == row.topic
                        && other.key == row.key
                        && !self.ended.contains(&other.id)
                });
                assert!(open.is_none(), "{} overtakes {:?}", row.id, open.map(|other| other.id));
            }
            self.sending.insert(row.id);
            self.book.sent(row);
        }
    }
}

proptest! {
    #[test]
    fn keys_keep_their_order_and_nothing_is_left_behind(events in prop::collection::vec(event(), 1..200)) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
            world.send();
        }
        // Left alone, all of it is published.
        for _ in 0..2_000 {
            if world.table.is_empty() { break }
            world.apply(Event::EndRead);
            world.apply(Event::Wait(20_000));
            for id in world.deciding.clone() {
                world.deciding.remove(&id);
                world.sending.remove(&id);
                world.book.counted(id);
            }
            world.apply(Event::StartRead);
            world.apply(Event::EndRead);
            world.send();
            for id in world.sending.clone() {
                world.sending.remove(&id);
                world.ended.insert(id);
                let now = world.now;
                world.book.acknowledged(id, now);
                world.send();
            }
            world.apply(Event::Mark);
        }
        prop_assert!(world.table.is_empty());
        prop_assert_eq!((world.book.len(), world.book.bytes()), (0, 0));
    }
}
