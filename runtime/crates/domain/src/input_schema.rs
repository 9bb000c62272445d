//! What the input of a saga has to fit.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

/// How many misfits are listed.
const LISTED: usize = 50;

/// A JSON Schema, compiled when it is first asked.
#[derive(Debug)]
pub struct InputSchema {
    schema: Value,
    validator: OnceLock<Result<Validator, String>>,
}

/// A place in an input, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// RFC 6901; empty for the whole input.
    pub pointer: String,
    /// A sentence.
    pub detail: String,
}

impl InputSchema {
    /// The schema of a manifest; whether it is one shows when it is asked.
    pub fn new(schema: Value) -> Self {
        Self { schema, validator: OnceLock::new() }
    }

    /// The schema itself.
    pub fn content(&self) -> &Value {
        &self.schema
    }

    /// Where `input` does not fit; at most 50 places. An error where the schema itself is none.
    pub fn misfits(&self, input: &Value) -> Result<Vec<Misfit>, &str> {
        let compile = || jsonschema::validator_for(&self.schema).map_err(|error| error.to_string());
        let validator = self.validator.get_or_init(compile).as_ref().map_err(String::as_str)?;
        let misfits = validator.iter_errors(input).take(LISTED).map(|error| Misfit {
            pointer: error.instance_path().to_string(),
            detail: error.to_string(),
        });
        Ok(misfits.collect())
    }
}

impl PartialEq for InputSchema {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
    }
}
