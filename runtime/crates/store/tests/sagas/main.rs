//! Starts, claims, commits and waits of sagas on a real Postgres. Concurrency is made by locks that a test holds, and
//! seen in `pg_stat_activity`: no test sleeps to be right.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod claims;
mod commit;
mod commit_refused;
mod stage;
mod start;
mod waits;
mod waits_at_once;
