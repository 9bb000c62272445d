//! What plugins are written in.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A language with an SDK and a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Rust,
    C,
    Go,
    /// And TypeScript.
    JavaScript,
    Python,
}

/// What a new project begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum Template {
    Rust,
    C,
    Go,
    JavaScript,
    TypeScript,
    Python,
}

impl Template {
    /// The language whose SDK it uses.
    pub fn language(self) -> Language {
        match self {
            Self::Rust => Language::Rust,
            Self::C => Language::C,
            Self::Go => Language::Go,
            Self::JavaScript | Self::TypeScript => Language::JavaScript,
            Self::Python => Language::Python,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Go => "go",
            Self::JavaScript => "javascript",
            Self::Python => "python",
        })
    }
}
