//! A saga that is about to be.

use uuid::Uuid;

use crate::{
    clock::UnixMillis, definition::Definition, ids::SagaId, payload::Payload, state::State,
};

/// A saga to start.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSaga {
    /// Derived from definition and business key, or random.
    pub id: SagaId,
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// What it runs for.
    pub business_key: Option<String>,
    /// Keeps its idempotency keys apart from those of another run under the same business key.
    pub nonce: u32,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Its input.
    pub input: Payload,
    /// Where it begins.
    pub state: State,
}

impl NewSaga {
    /// A run of `definition` that begins `now`; `fresh`, a random UUID, is its id where it has no business key.
    pub fn of(
        definition: &Definition,
        business_key: Option<String>,
        input: Payload,
        fresh: Uuid,
        now: UnixMillis,
    ) -> Self {
        let id = match &business_key {
            Some(key) => SagaId::derived(&definition.name, key),
            None => SagaId(fresh),
        };
        Self {
            id,
            definition: definition.name.as_ref().to_owned(),
            version: definition.version,
            business_key,
            nonce: fresh.as_u128() as u32,
            traceparent: None,
            input,
            state: State::initial(definition, now),
        }
    }
}
