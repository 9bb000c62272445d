//! A write that was begun.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;
use wasaga_store::emit::EmitError;

/// A message on its way into the outbox: a future of its id, or of why it is not there. Dropped, the write goes on.
#[must_use = "its error reaches nobody else"]
#[derive(Debug)]
pub struct Write(JoinHandle<Result<i64, EmitError>>);

impl Write {
    pub(crate) fn new(writing: JoinHandle<Result<i64, EmitError>>) -> Self {
        Self(writing)
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Future for Write {
    type Output = Result<i64, EmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|ended| ended.unwrap_or_else(|error| Err(EmitError::Aborted(error.to_string()))))
    }
}
