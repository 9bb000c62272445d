//! Projects that become plugins: written from templates, and built by their languages' own toolchains.
//!
//! A project is a directory with a `plugin.toml`. What it needs of wasaga, its language's SDK and the contract, lies in it
//! (`sdk/`, `wit/`), so that it is built the same everywhere. Its `schemas/` become types of its language. The toolchain is the machine's; what is missing is told in one
//! line.
//!
//! To add a language: a module with `build`, a variant of [`Language`], an SDK and a template in `guest-sdk/`.

mod bindings;
mod c;
mod cache;
mod component;
mod go;
mod javascript;
mod language;
pub mod programs;
mod project;
mod python;
mod rust;
mod template;
mod toolchain;
mod types;

pub use cache::{filled_once, user_cache};
pub use language::{Language, Template};
pub use programs::{Missing, NoToolchain};
pub use project::{Project, place, publish};
pub use rust::{Package, RustWorkspace};
pub use template::{renew_sdk, write_project};
pub use toolchain::GuestToolchain;
