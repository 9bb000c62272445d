//! `wasaga.handled_topics`: the topics whose messages go through a plugin before they are published, and from which id on.
//! Activations keep it, by a trigger.

use crate::{Store, StoreError};

impl Store {
    /// Has the messages to topics that were newly named go through their plugin from now on. What was emitted before goes
    /// out as it is: the relay may have it in hand.
    pub async fn handled_topics_begin(&self) -> Result<(), StoreError> {
        sqlx::query("select wasaga.handled_topics_begin()").execute(&self.pool).await?;
        Ok(())
    }
}
