//! Starts, claims, commits and waits of sagas on a real Postgres. Concurrency is made by locks that a test holds, on rows
//! or on failpoints, and seen in the server's own views: no test sleeps to be right.

#![allow(clippy::unwrap_used, reason = "a test's helpers may panic")]

mod at_every_write;
mod claims;
mod commit;
mod commit_refused;
mod early;
mod failpoints;
mod meeting;
mod meeting_books;
mod past;
mod retention;
mod search;
mod stage;
mod start;
mod waits;
mod waits_at_once;
