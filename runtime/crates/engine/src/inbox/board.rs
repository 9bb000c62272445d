//! What the inbox knows of the waiting tasks of its lanes: their ids, by the key whose order they keep. Pure.
//!
//! Of a key, only the first task is ever worked on: the others wait behind it, however often it fails, and hold no
//! other key up. What the tasks carry is read when they are run.

mod out;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use wasaga_domain::ids::TaskId;
use wasaga_store::task_in::WaitingTask;

/// Tasks of one key are handled in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Of one (topic, partition, key).
    Ordered(String, i32, Bytes),
    /// A record without a key has no place in any order.
    Alone(String, TaskId),
}

impl Key {
    fn of(task: &WaitingTask) -> Self {
        match &task.key {
            Some(key) => Self::Ordered(task.topic.clone(), task.partition, key.clone()),
            None => Self::Alone(task.topic.clone(), task.id),
        }
    }

    /// The topic.
    pub(super) fn topic(&self) -> &str {
        match self {
            Self::Ordered(topic, ..) | Self::Alone(topic, _) => topic,
        }
    }
}

/// A task in its key's queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) id: TaskId,
    pub(super) lane: i16,
    pub(super) attempts: u32,
    due: Instant,
}

#[derive(Debug)]
struct Queue {
    tasks: VecDeque<Queued>,
    state: State,
    /// Before which the key is not to be ready again.
    until: Option<Instant>,
    /// Times in a row that nobody could be called.
    misses: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In `ready`.
    Ready,
    /// Taken, with so many tasks begun.
    Running(usize),
    /// In `held`, under this place.
    Held(Instant, u64),
}

/// The waiting tasks of the held lanes.
#[derive(Debug, Default)]
pub(super) struct Board {
    queues: HashMap<Key, Queue>,
    known: HashSet<TaskId>,
    ready: VecDeque<Key>,
    held: BTreeMap<(Instant, u64), Key>,
    places: u64,
}

impl Board {
    /// Takes up a task; one that is known already stays as it is.
    pub(super) fn add(&mut self, task: &WaitingTask, now: Instant) {
        if !self.known.insert(task.id) {
            return;
        }
        let key = Key::of(task);
        let queued = Queued {
            id: task.id,
            lane: task.lane,
            attempts: task.attempts,
            due: now + task.due_in,
        };
        let Some(queue) = self.queues.get_mut(&key) else {
            let queue =
                Queue { tasks: [queued].into(), state: State::Running(0), until: None, misses: 0 };
            self.queues.insert(key.clone(), queue);
            return self.place(&key, now);
        };
        let at = queue.tasks.partition_point(|other| other.id < queued.id);
        queue.tasks.insert(at, queued);
    }

    /// Keys whose first task may run now, the longest ready first; each is the caller's until it is given back.
    pub(super) fn take(&mut self) -> Option<Key> {
        loop {
            let key = self.ready.pop_front()?;
            // Forgotten keys leave their place in the line behind.
            if let Some(queue) = self.queues.get_mut(&key)
                && queue.state == State::Ready
            {
                queue.state = State::Running(0);
                return Some(key);
            }
        }
    }

    /// How many keys are ready, at most.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// How many tasks are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Begins the first tasks of a taken key, at most `limit`, up to one that has to wait. Each is to be given back
    /// by itself; where there is none, the key is given back.
    pub(super) fn begin(&mut self, key: &Key, limit: usize, now: Instant) -> Vec<Queued> {
        let Some(queue) = self.queues.get_mut(key) else {
            return Vec::new();
        };
        let due = queue.tasks.iter().take(limit).take_while(|task| task.due <= now);
        let begun: Vec<Queued> = due.copied().collect();
        queue.state = State::Running(begun.len());
        if begun.is_empty() {
            self.place(key, now);
        }
        begun
    }

    /// A task of a taken key has ended.
    pub(super) fn end(&mut self, key: &Key, id: TaskId) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.tasks.retain(|task| task.id != id);
            queue.misses = 0;
            self.known.remove(&id);
        }
    }

    /// A task of a taken key is to be tried again.
    pub(super) fn again(&mut self, key: &Key, id: TaskId, attempts: u32, due: Instant) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        if let Some(task) = queue.tasks.iter_mut().find(|task| task.id == id) {
            if attempts > task.attempts {
                queue.misses = 0;
            }
            (task.attempts, task.due) = (attempts, due);
        }
    }

    /// Nobody could be called for a taken key; answers with how many times in a row.
    pub(super) fn miss(&mut self, key: &Key) -> u32 {
        self.queues.get_mut(key).map_or(0, |queue| {
            queue.misses += 1;
            queue.misses
        })
    }

    /// Gives a taken key, or one of its begun tasks, back: with the last, the key is ready when its first task is due.
    pub(super) fn place(&mut self, key: &Key, now: Instant) {
        self.give_back(key, None, now);
    }

    /// The same, and the key is not ready before `until`.
    pub(super) fn hold(&mut self, key: &Key, until: Instant, now: Instant) {
        self.give_back(key, Some(until), now);
    }

    fn give_back(&mut self, key: &Key, until: Option<Instant>, now: Instant) {
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        let State::Running(begun) = queue.state else {
            return;
        };
        queue.until = queue.until.max(until);
        if begun > 1 {
            queue.state = State::Running(begun - 1);
            return;
        }
        let Some(first) = queue.tasks.front() else {
            self.queues.remove(key);
            return;
        };
        let until = queue.until.take().map_or(first.due, |until| until.max(first.due));
        if until <= now {
            queue.state = State::Ready;
            self.ready.push_back(key.clone());
        } else {
            self.places += 1;
            queue.state = State::Held(until, self.places);
            self.held.insert((until, self.places), key.clone());
        }
    }

    /// Makes ready what has waited long enough.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.held.first_entry()
            && entry.key().0 <= now
        {
            let key = entry.remove();
            if let Some(queue) = self.queues.get_mut(&key) {
                queue.state = State::Ready;
                self.ready.push_back(key);
            }
        }
    }

    /// How long until something more is ready.
    pub(super) fn next_due(&self, now: Instant) -> Option<Duration> {
        self.held.first_key_value().map(|((until, _), _)| until.saturating_duration_since(now))
    }

    /// Forgets the tasks of all lanes but these; whoever still works on one finds its key gone.
    pub(super) fn keep_lanes(&mut self, keep: impl Fn(i16) -> bool) {
        let (known, held) = (&mut self.known, &mut self.held);
        self.queues.retain(|_, queue| {
            let kept = queue.tasks.front().is_some_and(|task| keep(task.lane));
            if !kept {
                for task in &queue.tasks {
                    known.remove(&task.id);
                }
                if let State::Held(until, place) = queue.state {
                    held.remove(&(until, place));
                }
            }
            kept
        });
    }

    /// Whether a taken key is of this lane.
    pub(super) fn works_on(&self, lane: i16) -> bool {
        self.queues.values().any(|queue| {
            matches!(queue.state, State::Running(_))
                && queue.tasks.front().is_some_and(|task| task.lane == lane)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: i64, key: Option<&'static str>) -> WaitingTask {
        WaitingTask {
            id: TaskId(id),
            lane: (id % 2) as i16,
            topic: "t".into(),
            partition: 0,
            key: key.map(|key| Bytes::from_static(key.as_bytes())),
            attempts: 0,
            due_in: Duration::ZERO,
        }
    }

    fn taken(board: &mut Board, now: Instant) -> Vec<i64> {
        let mut ids = Vec::new();
        while let Some(key) = board.take() {
            ids.push(board.begin(&key, 1, now)[0].id.0);
        }
        ids
    }

    #[test]
    fn a_key_is_worked_on_in_order_and_holds_only_itself() {
        let (mut board, now) = (Board::default(), Instant::now());
        for (id, key) in [(3, Some("a")), (1, Some("a")), (2, Some("b")), (4, None), (5, None)] {
            board.add(&task(id, key), now);
            board.add(&task(id, key), now);
        }
        assert_eq!(taken(&mut board, now), [1, 2, 4, 5]);
        let a = Key::of(&task(1, Some("a")));
        let later = now + Duration::from_secs(1);
        board.again(&a, TaskId(1), 1, later);
        board.place(&a, now);
        assert_eq!(taken(&mut board, now), Vec::<i64>::new());
        board.wake(later);
        assert_eq!(taken(&mut board, later), [1]);
        board.end(&a, TaskId(1));
        board.place(&a, later);
        assert_eq!(taken(&mut board, later), [3]);
        board.end(&a, TaskId(3));
        board.place(&a, later);
        // What ended may come again only as a new task.
        assert_eq!((board.len(), board.queues.len()), (3, 3));
    }

    #[test]
    fn a_key_is_ready_when_the_last_of_its_begun_tasks_is_back() {
        let (mut board, now) = (Board::default(), Instant::now());
        for id in 1..=3 {
            board.add(&task(id, Some("a")), now);
        }
        let a = board.take().expect("the key");
        assert_eq!(board.begin(&a, 2, now).len(), 2);
        board.end(&a, TaskId(1));
        board.hold(&a, now + Duration::from_secs(1), now);
        board.end(&a, TaskId(2));
        board.place(&a, now);
        assert_eq!(board.take(), None);
        assert_eq!(board.next_due(now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_lost_lanes_tasks_are_forgotten_whatever_they_do() {
        let (mut board, now) = (Board::default(), Instant::now());
        for id in 1..=4 {
            board.add(&task(id, None), now);
        }
        let running = board.take().expect("the first");
        assert!(board.works_on(1) && !board.works_on(0));
        board.keep_lanes(|lane| lane == 0);
        assert_eq!(board.len(), 2);
        board.end(&running, TaskId(1));
        board.place(&running, now);
        assert_eq!(taken(&mut board, now), [2, 4]);
    }
}
