//! Dead letters, as the API asks for them.

use async_trait::async_trait;
use wasaga_api::ports::{DeadLetters, SagasError};
use wasaga_domain::{
    dead_letter::{LetterFilter, LetterFlow, LetterVerb},
    mail::Audit,
};
use wasaga_store::{
    dead_letter_edit::{Edited, LetterEdit},
    dead_letter_end::EndedLetter,
    dead_letter_read::Letter,
    dead_letter_search::{LetterPage, Order},
};

use super::sagas::{HostSagas, read_failed};

#[async_trait]
impl DeadLetters for HostSagas {
    async fn search(
        &self,
        flow: LetterFlow,
        filter: &LetterFilter,
        order: Order,
        after: Option<i64>,
        limit: usize,
    ) -> Result<LetterPage, SagasError> {
        self.engine()?;
        self.store.dead_letters_search(flow, filter, order, after, limit).await.map_err(read_failed)
    }

    async fn letter(&self, flow: LetterFlow, id: i64) -> Result<Option<Letter>, SagasError> {
        self.engine()?;
        self.store.dead_letter_get(flow, id).await.map_err(read_failed)
    }

    async fn edit(
        &self,
        flow: LetterFlow,
        id: i64,
        edit: &LetterEdit,
        by: &Audit,
    ) -> Result<Edited, SagasError> {
        self.engine()?;
        self.store.dead_letter_edit(flow, id, edit, by).await.map_err(read_failed)
    }

    async fn end(
        &self,
        flow: LetterFlow,
        ids: &[i64],
        verb: LetterVerb,
        by: &Audit,
    ) -> Result<Vec<EndedLetter>, SagasError> {
        self.engine()?;
        self.store.dead_letters_end(flow, ids, verb, by).await.map_err(read_failed)
    }
}
