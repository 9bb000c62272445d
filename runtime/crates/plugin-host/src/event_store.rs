//! The import `event-store`: the plugin's own streams, in the transaction that commits what the guest returns.

use tokio::time::timeout_at;
use wasaga_domain::events::{self, EventError};

use crate::{
    access::Access,
    bindings::wasaga::plugin::event_store::{Error, Event, Host, Snapshot, StoredEvent},
    convert,
    session::Session,
    state::{CallState, Subject},
};

/// A stream's snapshot and the events after it.
type Loaded = (Option<Snapshot>, Vec<StoredEvent>);

/// What a plugin is told that is not granted the event store.
pub(crate) fn denial(access: &Access) -> Error {
    Error::Other(access.denial("the event store", "event_store = true", "event_store"))
}

impl Host for CallState {
    async fn load(&mut self, stream: String) -> wasmtime::Result<Result<Loaded, Error>> {
        self.called()?;
        Ok(self.loaded(&stream).await)
    }

    async fn append(
        &mut self,
        stream: String,
        expected: u64,
        events: Vec<Event>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        self.called()?;
        Ok(self.appended(&stream, expected, events).await)
    }

    async fn save_snapshot(
        &mut self,
        stream: String,
        snapshot: Snapshot,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.called()?;
        Ok(self.saved(&stream, snapshot).await)
    }
}

impl CallState {
    fn event_store(&mut self) -> Result<(&mut Session, &Access), Error> {
        match &mut self.session {
            Some(session) if self.access.event_store => Ok((session, &self.access)),
            _ => Err(denial(&self.access)),
        }
    }

    async fn loaded(&mut self, stream: &str) -> Result<Loaded, Error> {
        let (session, access) = self.event_store()?;
        let until = session.until;
        let transaction = session.open(access).await.map_err(EventError::from)?;
        let ended = timeout_at(until, transaction.load(stream)).await;
        let events::Stream { snapshot, events } = session.in_time(ended)?;
        Ok((snapshot.map(Snapshot::from), events.into_iter().map(StoredEvent::from).collect()))
    }

    async fn appended(
        &mut self,
        stream: &str,
        expected: u64,
        events: Vec<Event>,
    ) -> Result<u64, Error> {
        let saga = match self.subject {
            Subject::Step { saga, .. } => Some(saga),
            Subject::Plugin | Subject::Task { .. } => None,
        };
        let events: Vec<_> = events.into_iter().map(events::Event::from).collect();
        let (session, access) = self.event_store()?;
        let until = session.until;
        let transaction = session.open(access).await.map_err(EventError::from)?;
        let ended = timeout_at(until, transaction.append(stream, expected, &events, saga)).await;
        Ok(session.in_time(ended)?)
    }

    async fn saved(&mut self, stream: &str, snapshot: Snapshot) -> Result<(), Error> {
        let (session, access) = self.event_store()?;
        let until = session.until;
        let transaction = session.open(access).await.map_err(EventError::from)?;
        let ended = timeout_at(until, transaction.save_snapshot(stream, &snapshot.into())).await;
        Ok(session.in_time(ended)?)
    }
}

impl From<EventError> for Error {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Conflict(version) => Self::Conflict(version),
            EventError::Other(what) => Self::Other(what),
        }
    }
}

impl From<Event> for events::Event {
    fn from(Event { event_type, payload }: Event) -> Self {
        Self { event_type, payload: convert::taken_payload(payload) }
    }
}

impl From<events::StoredEvent> for StoredEvent {
    fn from(events::StoredEvent { version, event }: events::StoredEvent) -> Self {
        let payload = convert::owned_payload(&event.payload);
        Self { version, event: Event { event_type: event.event_type, payload } }
    }
}

impl From<Snapshot> for events::Snapshot {
    fn from(Snapshot { version, state }: Snapshot) -> Self {
        Self { version, state: convert::taken_payload(state) }
    }
}

impl From<events::Snapshot> for Snapshot {
    fn from(events::Snapshot { version, state }: events::Snapshot) -> Self {
        Self { version, state: convert::owned_payload(&state) }
    }
}
