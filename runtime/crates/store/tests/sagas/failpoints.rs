//! Stops at every write. Triggers of the test's own database count what a transaction writes, before and after each
//! statement, and once more before it commits; at the n-th such point they take an advisory lock, by which a test
//! holds the transaction there. Production code knows nothing of it, and only sessions that ask for it are counted.

use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;
use wasaga_store::{Store, StoreOptions};

use crate::stage::until;

const INSTALL: &str = "
create schema failpoints;
create table failpoints.passed (n integer, point text);

create function failpoints.pass() returns trigger language plpgsql as $$
declare
    n integer := coalesce(nullif(current_setting('failpoints.n', true), ''), '0')::integer + 1;
    point text := lower(concat_ws(' ', tg_when, tg_op, tg_table_name));
begin
    if current_setting('failpoints.counted', true) is null
        or current_setting('failpoints.commits', true) = 'yes' then
        return null;
    end if;
    -- Of the deferred ones the first stands for all: the transaction is about to commit.
    if tg_level = 'ROW' then
        perform set_config('failpoints.commits', 'yes', true);
        point := 'commit';
    end if;
    perform set_config('failpoints.n', n::text, true);
    insert into failpoints.passed values (n, point);
    perform pg_advisory_xact_lock_shared(n);
    return null;
end $$;

do $$
declare
    written regclass;
begin
    for written in select oid from pg_class where relnamespace = 'wasaga'::regnamespace and relkind = 'r' loop
        execute format('create trigger failpoint_before before insert or update or delete on %s
            for each statement execute function failpoints.pass()', written);
        execute format('create trigger failpoint_after after insert or update or delete on %s
            for each statement execute function failpoints.pass()', written);
        execute format('create constraint trigger failpoint_commit after insert or update or delete on %s
            deferrable initially deferred for each row execute function failpoints.pass()', written);
    end loop;
end $$;";

/// Where a transaction is held.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// At the n-th point, from 1.
    Point(usize),
    /// Where it wants this saga's row.
    Row(Uuid),
}

/// The session that holds transactions, and lets them go.
pub struct Failpoints(PgConnection);

impl Failpoints {
    pub async fn install(url: &str) -> Self {
        let mut holder = PgConnection::connect(url).await.unwrap();
        holder.execute(INSTALL).await.unwrap();
        Self(holder)
    }

    /// A store whose transactions are counted.
    pub fn store(url: &str) -> Store {
        Store::new(StoreOptions::new(format!("{url}?options[failpoints.counted]=yes"))).unwrap()
    }

    /// The points of the counted transactions that were committed since this was asked last.
    pub async fn passed(&mut self) -> Vec<String> {
        let points = "with passed as (delete from failpoints.passed returning n, point)
            select point from passed order by n";
        sqlx::query_scalar(points).fetch_all(&mut self.0).await.unwrap()
    }

    /// From now on no counted transaction passes the stop.
    pub async fn hold(&mut self, stop: Stop) {
        self.0.execute("begin").await.unwrap();
        let held = match stop {
            Stop::Point(n) => sqlx::query("select pg_advisory_xact_lock($1)").bind(n as i64),
            Stop::Row(saga) => {
                sqlx::query("select from wasaga.sagas where id = $1 for no key update").bind(saga)
            }
        };
        held.execute(&mut self.0).await.unwrap();
    }

    /// Lets go of what is held.
    pub async fn release(&mut self) {
        self.0.execute("rollback").await.unwrap();
    }

    /// Waits until a session has come to the stop; answers with its process.
    pub async fn stopped(&mut self) -> i32 {
        self.waiter(&[]).await
    }

    /// Waits until another session waits for the one that is stopped, or for what is held.
    pub async fn blocked_behind(&mut self, stopped: i32) {
        self.waiter(&[stopped]).await;
    }

    /// Waits until a session other than these waits for one of them, or for this one; answers with its process.
    async fn waiter(&mut self, these: &[i32]) -> i32 {
        // Not pg_stat_activity: a transaction goes on seeing it as it was at the first look.
        let waiting = "select pid from pg_locks where not granted and pid <> all ($1::int[])
            and pg_blocking_pids(pid) && ($1::int[] || pg_backend_pid())";
        let mut found = None;
        until(async || {
            let process = sqlx::query_scalar(waiting).bind(these).fetch_optional(&mut self.0);
            found = process.await.unwrap();
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Ends a process, and returns when nothing of its transaction is left.
    pub async fn kill(&mut self, process: i32) {
        let kill = sqlx::query("select pg_terminate_backend($1)").bind(process);
        kill.execute(&mut self.0).await.unwrap();
        let is_gone = "select not exists (select from pg_locks where pid = $1)";
        until(async || {
            sqlx::query_scalar(is_gone).bind(process).fetch_one(&mut self.0).await.unwrap()
        })
        .await;
    }
}
