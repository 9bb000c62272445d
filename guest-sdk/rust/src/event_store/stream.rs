//! An aggregate and its stream: loaded, added to, saved.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Error, Event, Snapshot, StoredEvent, append, load, save_snapshot};
use crate::{failure::Failure, payload::Payload};

/// What its events come to.
pub trait Aggregate: Default + Serialize + DeserializeOwned {
    /// An enum as serde has it by default: the variant's name is the event's type, and what it holds is the payload.
    type Event: Serialize + DeserializeOwned;

    /// A snapshot is kept when so many events came after the last one.
    const SNAPSHOT_EVERY: u64 = 5;

    /// What the event makes of it. Events have happened: nothing is refused here.
    fn apply(&mut self, event: Self::Event);
}

/// An aggregate in the event store.
#[derive(Debug)]
pub struct Stream<A> {
    id: String,
    state: A,
    /// What the store has.
    version: u64,
    snapshot: u64,
    recorded: Vec<Event>,
}

impl<A: Aggregate> Stream<A> {
    /// The aggregate as its events left it; without any, its default.
    pub fn load(id: impl Into<String>) -> Result<Self, Failure> {
        Self::load_from(&mut Host, id.into())
    }

    /// What the events come to, those that were recorded included.
    pub fn state(&self) -> &A {
        &self.state
    }

    /// How many events it has, those that were recorded included.
    pub fn version(&self) -> u64 {
        self.version + self.recorded.len() as u64
    }

    /// Something happened: it is applied now, and appended by [`save`](Self::save).
    ///
    /// # Panics
    /// If the event is no variant of an enum as serde has it by default: a mistake in the plugin, not in its data.
    pub fn record(&mut self, event: A::Event) {
        self.recorded.push(to_event(&event));
        self.state.apply(event);
    }

    /// Appends what was recorded, and keeps a snapshot where one is due. A retryable failure if somebody else appended
    /// since it was loaded.
    pub fn save(&mut self) -> Result<(), Failure> {
        self.save_to(&mut Host)
    }

    fn load_from(store: &mut impl Store, id: String) -> Result<Self, Failure> {
        let (snapshot, events) = store.load(&id)?;
        let mut stream =
            Self { id, state: A::default(), version: 0, snapshot: 0, recorded: Vec::new() };
        if let Some(Snapshot { version, state }) = snapshot {
            stream.state = state.parse()?;
            (stream.version, stream.snapshot) = (version, version);
        }
        for StoredEvent { version, event } in events {
            stream.state.apply(from_event(event)?);
            stream.version = version;
        }
        Ok(stream)
    }

    fn save_to(&mut self, store: &mut impl Store) -> Result<(), Failure> {
        if self.recorded.is_empty() {
            return Ok(());
        }
        self.version = store.append(&self.id, self.version, &self.recorded)?;
        self.recorded.clear();
        if self.version - self.snapshot >= A::SNAPSHOT_EVERY {
            let state = Payload::json(&self.state);
            store.save_snapshot(&self.id, &Snapshot { version: self.version, state })?;
            self.snapshot = self.version;
        }
        Ok(())
    }
}

fn to_event<E: Serialize>(event: &E) -> Event {
    let tagged = serde_json::to_value(event).expect("an event that serializes to JSON");
    let (event_type, payload) = match tagged {
        Value::String(name) => (name, Value::Null),
        Value::Object(tagged) if tagged.len() == 1 => {
            tagged.into_iter().next().expect("it has one entry")
        }
        other => panic!("an event is a variant of an enum, tagged by its name: not {other}"),
    };
    Event { event_type, payload: Payload::json(&payload) }
}

fn from_event<E: DeserializeOwned>(event: Event) -> Result<E, Failure> {
    let tagged = Map::from_iter([(event.event_type, event.payload.parse()?)]);
    serde_json::from_value(tagged.into()).map_err(|error| {
        let wanted = std::any::type_name::<E>();
        Failure::permanent("undecodable-event", format!("not an event of {wanted}: {error}"))
    })
}

/// The host's event store, or a test's.
trait Store {
    fn load(&mut self, id: &str) -> Result<(Option<Snapshot>, Vec<StoredEvent>), Error>;
    fn append(&mut self, id: &str, expected: u64, events: &[Event]) -> Result<u64, Error>;
    fn save_snapshot(&mut self, id: &str, snapshot: &Snapshot) -> Result<(), Error>;
}

struct Host;

impl Store for Host {
    fn load(&mut self, id: &str) -> Result<(Option<Snapshot>, Vec<StoredEvent>), Error> {
        load(id)
    }

    fn append(&mut self, id: &str, expected: u64, events: &[Event]) -> Result<u64, Error> {
        append(id, expected, events)
    }

    fn save_snapshot(&mut self, id: &str, snapshot: &Snapshot) -> Result<(), Error> {
        save_snapshot(id, snapshot)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// One stream, as the host keeps it.
    #[derive(Default)]
    struct Memory {
        events: Vec<Event>,
        snapshot: Option<Snapshot>,
    }

    impl Store for Memory {
        fn load(&mut self, _: &str) -> Result<(Option<Snapshot>, Vec<StoredEvent>), Error> {
            let after = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
            let stored = (1..).zip(&self.events).skip(after as usize);
            let stored =
                stored.map(|(version, event)| StoredEvent { version, event: event.clone() });
            Ok((self.snapshot.clone(), stored.collect()))
        }

        fn append(&mut self, _: &str, expected: u64, events: &[Event]) -> Result<u64, Error> {
            let version = self.events.len() as u64;
            if expected != version {
                return Err(Error::Conflict(version));
            }
            self.events.extend_from_slice(events);
            Ok(self.events.len() as u64)
        }

        fn save_snapshot(&mut self, _: &str, snapshot: &Snapshot) -> Result<(), Error> {
            self.snapshot = Some(snapshot.clone());
            Ok(())
        }
    }

    #[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
    struct Counter {
        sum: i64,
        /// Not kept, so that it tells how many events were applied since the snapshot.
        #[serde(skip)]
        applied: u64,
    }

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Counted {
        Added(i64),
        SetTo { sum: i64 },
        Cleared,
    }

    impl Aggregate for Counter {
        type Event = Counted;

        fn apply(&mut self, event: Counted) {
            self.applied += 1;
            match event {
                Counted::Added(more) => self.sum += more,
                Counted::SetTo { sum } => self.sum = sum,
                Counted::Cleared => self.sum = 0,
            }
        }
    }

    fn load(store: &mut Memory) -> Stream<Counter> {
        Stream::load_from(store, "c".into()).expect("it loads")
    }

    fn add(store: &mut Memory, times: usize) {
        for _ in 0..times {
            let mut counter = load(store);
            counter.record(Counted::Added(1));
            counter.save_to(store).expect("nobody else appends");
        }
    }

    #[test]
    fn an_event_is_its_variants_name_and_what_it_holds() {
        for (event, name, payload) in [
            (Counted::Added(7), "added", "7"),
            (Counted::SetTo { sum: 1 }, "set-to", r#"{"sum":1}"#),
            (Counted::Cleared, "cleared", "null"),
        ] {
            let stored = to_event(&event);
            assert_eq!(stored.event_type, name);
            assert_eq!(stored.payload, Payload::new("application/json", payload));
            assert_eq!(from_event::<Counted>(stored).expect("it fits"), event);
        }
    }

    #[test]
    fn the_state_is_what_the_events_come_to() {
        let mut store = Memory::default();
        let mut counter = load(&mut store);
        assert_eq!((counter.state().sum, counter.version()), (0, 0));
        counter.record(Counted::SetTo { sum: 40 });
        counter.record(Counted::Added(2));
        assert_eq!((counter.state().sum, counter.version()), (42, 2));
        assert_eq!(store.events.len(), 0, "nothing is appended before it is saved");
        counter.save_to(&mut store).expect("nobody else appends");
        counter.save_to(&mut store).expect("there is nothing more to append");
        assert_eq!(store.events.len(), 2);
        assert_eq!((load(&mut store).state().sum, load(&mut store).version()), (42, 2));
    }

    #[test]
    fn every_fifth_event_leaves_a_snapshot() {
        let mut store = Memory::default();
        add(&mut store, 4);
        assert!(store.snapshot.is_none());
        add(&mut store, 1);
        assert_eq!(store.snapshot.as_ref().map(|snapshot| snapshot.version), Some(5));
        add(&mut store, 4);
        assert_eq!(store.snapshot.as_ref().map(|snapshot| snapshot.version), Some(5));
        assert_eq!(*load(&mut store).state(), Counter { sum: 9, applied: 4 });
        add(&mut store, 1);
        assert_eq!(store.snapshot.as_ref().map(|snapshot| snapshot.version), Some(10));
    }

    #[test]
    fn a_conflict_is_worth_another_attempt() {
        let mut store = Memory::default();
        let mut slow = load(&mut store);
        add(&mut store, 1);
        slow.record(Counted::Cleared);
        let failure = slow.save_to(&mut store).expect_err("somebody else appended");
        assert!(matches!(&failure, Failure::Retryable(_)), "{failure:?}");
        assert_eq!(failure.detail().code, "event-conflict");
    }

    #[test]
    fn an_event_that_the_plugin_does_not_know_is_permanent() {
        let mut store = Memory::default();
        store
            .append("c", 0, &[Event { event_type: "burnt".into(), payload: Payload::json(&1) }])
            .expect("kept");
        let failure = Stream::<Counter>::load_from(&mut store, "c".into()).expect_err("unknown");
        assert!(matches!(&failure, Failure::Permanent(_)), "{failure:?}");
        assert!(failure.detail().message.contains("burnt"), "{failure:?}");
    }
}
