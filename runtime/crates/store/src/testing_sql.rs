//! SQL for tests of other crates, which do not know sqlx: a connection of its own, also for transactions held open.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A connection.
pub struct Session(PgConnection);

impl Session {
    /// Connects; panics where that fails, as all of this does.
    pub async fn open(url: &str) -> Self {
        Self(PgConnection::connect(url).await.expect("the test's database is reachable"))
    }

    /// Runs statements.
    pub async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await.expect(sql);
    }

    /// Runs a statement with these texts as its parameters; prepared once a connection.
    pub async fn run_with(&mut self, sql: &'static str, parameters: &[&str]) {
        let query = parameters.iter().fold(sqlx::query(sql), |query, text| query.bind(*text));
        query.execute(&mut self.0).await.expect(sql);
    }

    /// Runs a statement that must fail; what Postgres says.
    pub async fn fails(&mut self, sql: &str) -> String {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await;
        done.expect_err(sql).to_string()
    }

    /// The first column of every row; it must be text.
    pub async fn texts(&mut self, sql: &str) -> Vec<Option<String>> {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.0).await.expect(sql)
    }

    /// The first column of the only row; it must be a bigint.
    pub async fn number(&mut self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.0).await.expect(sql)
    }
}
