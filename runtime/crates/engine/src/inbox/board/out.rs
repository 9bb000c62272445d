//! Of messages on their way out a bounded number is known, or one key that can't move would hold all memory, and all others
//! up: of each key the first ones, and of a key that is held its first alone. What is not known stays in the table, and
//! is read again.

use std::{collections::HashMap, time::Instant};

use wasaga_store::{task_in::WaitingTask, task_out::Excluded};

use super::{Board, Key, State};

/// Messages that are known and may be worked on, or queue behind one that is.
const KNOWN: usize = 4_000;
/// Messages of one key that are known.
const QUEUE: usize = 64;
/// Keys of one topic that may be held by themselves: of a topic with more of them nothing is looked for until some are
/// not, so that what a look leaves out stays short.
const HELD_KEYS: usize = 1_000;

impl Board {
    /// How many more messages may be known.
    pub(in super::super) fn room(&self) -> usize {
        KNOWN.saturating_sub(self.known.len().saturating_sub(self.held.len()))
    }

    /// What a look past this id leaves out: what is known, and keys of which no more is to be known now. What queues behind
    /// held ones is forgotten.
    pub(in super::super) fn leave_out(&mut self, after: i64) -> Excluded {
        let mut keys: HashMap<&str, Vec<&[u8]>> = HashMap::new();
        let mut held: HashMap<&str, usize> = HashMap::new();
        for (key, queue) in &mut self.queues {
            let is_held = matches!(queue.state, State::Held(..));
            if is_held {
                *held.entry(key.topic()).or_default() += 1;
                for forgotten in queue.tasks.iter().skip(1) {
                    self.known.remove(&forgotten.id);
                }
                queue.tasks.truncate(1);
            }
            if let Key::Ordered(topic, _, key) = key
                && (is_held || queue.tasks.len() >= QUEUE)
            {
                keys.entry(topic).or_default().push(key);
            }
        }
        held.retain(|_, keys| *keys > HELD_KEYS);
        let mut excluded = Excluded {
            after,
            ids: self.known.iter().map(|id| id.0).collect(),
            topics: held.keys().map(|&topic| topic.to_owned()).collect(),
            ..Excluded::default()
        };
        for (topic, keys) in keys.into_iter().filter(|(topic, _)| !held.contains_key(topic)) {
            excluded.key_topics.extend(keys.iter().map(|_| topic.to_owned()));
            excluded.keys.extend(keys.into_iter().map(<[u8]>::to_vec));
        }
        excluded
    }

    /// Takes up what a look has found, in the order of ids: of each key so many as may be known.
    pub(in super::super) fn take_up(&mut self, found: &[WaitingTask], now: Instant) {
        for task in found {
            let queue = self.queues.get(&Key::of(task));
            if queue.is_none_or(|queue| queue.tasks.len() < QUEUE) {
                self.add(task, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use wasaga_domain::ids::TaskId;

    use super::*;

    fn message(id: i64, topic: &str, key: Option<&str>) -> WaitingTask {
        WaitingTask {
            id: TaskId(id),
            lane: 0,
            topic: topic.into(),
            partition: 0,
            key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
            attempts: 0,
            due_in: Duration::ZERO,
        }
    }

    /// The first task of each key fails, and is to be tried again in an hour.
    fn fail_all(board: &mut Board, now: Instant) {
        while let Some(key) = board.take() {
            let task = board.begin(&key, 1, now)[0];
            board.again(&key, task.id, 1, now + Duration::from_hours(1));
            board.place(&key, now);
        }
    }

    #[test]
    fn of_a_held_key_only_the_first_is_known_and_nothing_more_is_looked_for() {
        let (mut board, now) = (Board::default(), Instant::now());
        let found = [1, 2, 3].map(|id| message(id, "t", Some("a")));
        board.take_up(&found, now);
        board.take_up(&[message(4, "t", None)], now);
        let of_all = board.leave_out(0);
        assert_eq!((board.len(), of_all.keys.len()), (4, 0), "none is held");
        fail_all(&mut board, now);
        let excluded = board.leave_out(7);
        let mut ids = excluded.ids.clone();
        ids.sort_unstable();
        assert_eq!((excluded.after, ids), (7, vec![1, 4]));
        assert_eq!(excluded.key_topics, ["t"]);
        assert_eq!(excluded.keys, [b"a".to_vec()]);
        assert_eq!(board.room(), KNOWN, "what is held leaves room");
        board.wake(now + Duration::from_hours(2));
        assert_eq!(board.leave_out(7).keys.len(), 0, "it is looked for again");
        let mut begun = Vec::new();
        while let Some(key) = board.take() {
            begun.extend(board.begin(&key, 9, now + Duration::from_hours(2)));
        }
        let mut ids: Vec<_> = begun.iter().map(|task| task.id.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 4], "the others are in the table");
    }

    #[test]
    fn of_a_key_no_more_are_known_than_may_queue() {
        let (mut board, now) = (Board::default(), Instant::now());
        let found: Vec<_> = (1..=100).map(|id| message(id, "t", Some("a"))).collect();
        board.take_up(&found, now);
        assert_eq!((board.len(), board.room()), (QUEUE, KNOWN - QUEUE));
        assert_eq!(board.leave_out(0).keys, [b"a".to_vec()]);
        let key = board.take().expect("it is ready");
        let first = board.begin(&key, 1, now)[0];
        assert_eq!(first.id, TaskId(1));
        board.end(&key, first.id);
        board.place(&key, now);
        assert_eq!(board.leave_out(0).keys.len(), 0);
    }

    #[test]
    fn a_topic_with_too_many_held_keys_is_left_out_whole() {
        let (mut board, now) = (Board::default(), Instant::now());
        let keyed = |id: i64| message(id, "many", Some(&id.to_string()));
        let most = HELD_KEYS as i64;
        board.take_up(&(1..=most).map(keyed).collect::<Vec<_>>(), now);
        board.take_up(&[message(most + 9, "few", Some("a"))], now);
        fail_all(&mut board, now);
        let excluded = board.leave_out(0);
        assert_eq!((excluded.topics.len(), excluded.keys.len()), (0, HELD_KEYS + 1));
        board.take_up(&[message(most + 1, "many", None)], now);
        fail_all(&mut board, now);
        let excluded = board.leave_out(0);
        assert_eq!(excluded.topics, ["many"]);
        assert_eq!(excluded.key_topics, ["few"]);
    }
}
