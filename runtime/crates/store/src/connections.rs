//! The host's own connections, directly or through a pooler.
//!
//! A pooler in transaction mode (PgBouncer) gives a server connection for one transaction, and before its version 1.21
//! knows no statements that are prepared by name. So each statement is a transaction there, and has no name. That costs
//! three more round trips a statement.

use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Either, Execute, Executor, PgPool, PgTransaction, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    is_pooled: bool,
}

impl Connections {
    /// `is_pooled`: a pooler is in between.
    pub(crate) fn new(pool: PgPool, is_pooled: bool) -> Self {
        Self { pool, is_pooled }
    }

    /// A transaction of several statements.
    pub(crate) async fn begin(&self) -> Result<PgTransaction<'static>, sqlx::Error> {
        if self.is_pooled {
            // Its statements have names, which another transaction may have left there.
            return self.pool.begin_with("begin; deallocate all").await;
        }
        self.pool.begin().await
    }

    pub(crate) fn options(&self) -> std::sync::Arc<PgConnectOptions> {
        self.pool.connect_options()
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

impl<'c> Executor<'c> for &Connections {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if !self.is_pooled {
            return self.pool.fetch_many(query);
        }
        let pool = self.pool.clone();
        let steps = async move {
            let mut transaction = pool.begin().await?;
            let steps: Vec<_> = transaction.fetch_many(Nameless(query)).try_collect().await?;
            transaction.commit().await?;
            Ok(stream::iter(steps).map(Ok))
        };
        steps.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if !self.is_pooled {
            return self.pool.fetch_optional(query);
        }
        let connections = self.clone();
        let first = async move { Ok(connections.fetch_all(query).await?.into_iter().next()) };
        first.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }
}

/// A query whose statement gets no name.
struct Nameless<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Nameless<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
