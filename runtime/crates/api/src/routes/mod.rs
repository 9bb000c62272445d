//! The handlers, a file a subject.

pub(crate) mod bulk;
pub(crate) mod dead_letters;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod migrate;
pub(crate) mod outbox;
pub(crate) mod plugins;
pub(crate) mod saga;
pub(crate) mod schedules;
pub(crate) mod search;
pub(crate) mod start;
pub(crate) mod swaps;
pub(crate) mod verbs;

use wasaga_domain::ids::{PluginName, SagaId};

use crate::error::ApiError;

/// Answers a method that the route does not have.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::WrongMethod(None)
}

/// The saga id in a path.
fn saga_id(text: &str) -> Result<SagaId, ApiError> {
    text.parse().map(SagaId).map_err(|_| ApiError::BadSagaId(text.into()))
}

/// The plugin's name in a path.
fn plugin_name(text: &str) -> Result<PluginName, ApiError> {
    text.parse().map_err(|_| ApiError::UnknownPlugin(text.into()))
}
