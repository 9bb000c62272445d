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
pub(crate) mod verbs;

use wasaga_domain::ids::SagaId;

use crate::error::ApiError;

/// Answers a method that the route does not have.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::WrongMethod(None)
}

/// The saga id in a path.
fn saga_id(text: &str) -> Result<SagaId, ApiError> {
    text.parse().map(SagaId).map_err(|_| ApiError::BadSagaId(text.into()))
}
