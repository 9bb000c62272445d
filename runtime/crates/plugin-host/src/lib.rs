//! The plugins of a host: WebAssembly components, loaded, checked, swapped and called. The only crate that knows
//! wasmtime; the engine meets it in `wasaga_domain::ports` alone.
//!
//! - **Loading** (off the hot path): `loading` compiles a component (`cache` keeps the machine code), probes its exports,
//!   asks it to `describe` itself and has `checks` judge what it says; `grants` are the operator's.
//! - **Registry**: `host` holds the active plugins behind one atomic pointer; `swapping` changes what the database says is
//!   active, `activation` takes that up; `watcher` feeds it from a directory; `running` knows which module of a plugin takes a
//!   call, and counts a canary's; `pinned` keeps those that sagas call though they are active no more.
//! - **Calls**: `lanes` runs a call on an OS thread of `pool` or, where the plugin is granted what it may wait for, on one that waits,
//!   by the plugin's share of `shares`, behind the others where `usage` says so; `calls` knows an attempt's course, `guest` one instance, `imports`, `sql`, `event_store` and
//!   `http` what it may ask for, `access` what of that it is granted, `secrets` what nothing it says may show, `results` what it may
//!   return, `failure` what becomes of a trap, `chance` what is random.
//!
//! To offer one more import: its functions in `imports`, its linking in `linking`, its grant in `grants`.

mod access;
mod activation;
mod bindings;
mod cache;
mod calls;
mod chance;
mod checks;
mod contract;
mod convert;
mod engine;
mod event_store;
mod exports;
mod failure;
mod fetching;
mod grants;
mod guest;
mod host;
mod http;
mod imports;
mod lanes;
mod limits;
mod linking;
mod lint;
mod loading;
mod pinned;
mod pool;
mod registry;
mod report;
mod results;
mod running;
mod secrets;
mod session;
mod shares;
mod signatures;
mod sql;
mod state;
mod swapping;
mod trace;
mod usage;
mod watcher;

pub use self::http::http_call;
pub use grants::{Grant, Grants};
pub use host::{Options, PluginHost, StartError};
pub use limits::Limits;
pub use lint::{Finding, Level, lint};
pub use registry::Rejection;
pub use secrets::SecretSource;
pub use signatures::TrustedKeys;
pub use watcher::Watcher;
