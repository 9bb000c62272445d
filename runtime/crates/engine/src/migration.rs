//! Whether sagas can be moved to another version of their definition: asked before they are, by what is committed.

use wasaga_domain::mail::Migration;
use wasaga_store::saga_search::FoundSaga;

use crate::{decide::migrate, definitions::DefinitionSource};

/// Why this saga cannot be moved, all reasons; none: it can, as it stands. An error where there is no such version.
pub async fn refusals(
    definitions: &dyn DefinitionSource,
    saga: &FoundSaga,
    migration: &Migration,
) -> Result<Vec<String>, String> {
    let to = definitions.definition(&saga.definition, migration.to).await?;
    let from = match definitions.definition(&saga.definition, saga.version).await {
        Ok(from) => from,
        Err(why) => return Ok(vec![why]),
    };
    let moved = migrate(&from, &saga.state, &to, &migration.map, saga.updated_at);
    Ok(moved.err().unwrap_or_default())
}
