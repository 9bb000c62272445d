//! A database of its own for a test, on the server that `WASAGA_TEST_POSTGRES` names.

use std::env;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::{Store, StoreError, StoreOptions, scratch, testing_breaks};

/// A migrated database that is dropped with this value.
pub struct TestDatabase {
    /// The store on it.
    pub store: Store,
    /// Its url.
    pub url: String,
    maintenance: String,
    name: String,
}

/// Makes a migrated database; panics, saying what to set, where no server is named.
pub async fn database() -> TestDatabase {
    let maintenance = env::var("WASAGA_TEST_POSTGRES")
        .expect("WASAGA_TEST_POSTGRES must name a Postgres: run the tests by `cargo xtask test`");
    database_on(maintenance).await
}

/// Makes a migrated database on the server of this url.
pub async fn database_on(maintenance: String) -> TestDatabase {
    let name = format!("wasaga_test_{}", Uuid::new_v4().simple());
    let created = scratch::create(&maintenance, &name).await;
    let url =
        created.expect("WASAGA_TEST_POSTGRES is reachable, and its user may create databases");
    let store = Store::new(StoreOptions::new(url.clone())).expect("the url is well formed");
    store.migrate_up().await.expect("the migrations fit");
    testing_breaks::install(&store).await;
    TestDatabase { store, url, maintenance, name }
}

impl TestDatabase {
    /// Runs statements, whatever they are.
    pub async fn run(&self, statements: &str) {
        let run = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&self.store.pool);
        run.await.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// A login role of an application, which may use the schema `wasaga` and run these of its functions; answers with
    /// the url to connect by. It goes with the database.
    pub async fn application(&self, functions: &str) -> String {
        let role = application(&self.name);
        self.run(&format!(
            "create role {role} login password 'app'; grant usage on schema wasaga to {role};
             grant execute on function {functions} to {role};
             create schema shop authorization {role}"
        ))
        .await;
        let (_, server) = self.url.split_once('@').expect("the url names a user");
        format!("postgres://{role}:app@{server}")
    }

    /// The first column of a query whose first column is text.
    pub async fn texts(&self, query: &str) -> Vec<Option<String>> {
        let texts = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(&self.store.pool);
        texts.await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }
}

fn application(database: &str) -> String {
    format!("{database}_app")
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (maintenance, name) = (self.maintenance.clone(), self.name.clone());
        let drop = async move {
            scratch::remove(&maintenance, &name).await?;
            let mut connection = PgConnection::connect(&maintenance).await?;
            let role = format!("drop role if exists {}", application(&name));
            sqlx::raw_sql(AssertSqlSafe(role)).execute(&mut connection).await?;
            Ok::<_, StoreError>(())
        };
        // A runtime of its own: the test's may be gone, or be this very thread.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(drop))
        });
        if !matches!(dropper.join(), Ok(Ok(Ok(())))) {
            eprintln!("the test database {} could not be dropped", self.name);
        }
    }
}
