//! Guests' SQL on a real Postgres: what comes back, what is refused, what is bounded, and that nothing gets out.

#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

mod bounds;
mod commit;
mod containment;
mod roles;
mod stage;
mod statements;
