//! Whether an input fits its definition, and what it runs for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jsonschema::Validator;
use serde_json::{Value, map::Entry};
use uuid::Uuid;
use wasaga_domain::{definition::Definition, payload::Payload};

use crate::{
    body::JsonBody,
    error::{ApiError, Misfit},
};

/// How many misfits an answer lists.
const LISTED: usize = 50;

/// How many characters a business key has at most.
const KEY_LENGTH: usize = 500;

/// A definition's name and version.
type Version = (Arc<str>, u32);

/// Compiled schemas, by definition and version: the content of those never changes.
#[derive(Default)]
pub(crate) struct Schemas {
    compiled: Mutex<HashMap<Version, Arc<Validator>>>,
}

impl Schemas {
    /// Checks `input`, which stands at `pointer` of the body, against the definition's schema, if it has one.
    pub(crate) fn check(
        &self,
        definition: &Definition,
        input: &Value,
        pointer: &str,
    ) -> Result<(), ApiError> {
        let Some(schema) = &definition.input_schema else {
            return Ok(());
        };
        let validator = self.compile(definition, schema)?;
        let misfits: Vec<_> = validator
            .iter_errors(input)
            .take(LISTED)
            .map(|error| {
                Misfit::new(format!("{pointer}{}", error.instance_path()), error.to_string())
            })
            .collect();
        if misfits.is_empty() { Ok(()) } else { Err(ApiError::Invalid(misfits)) }
    }

    fn compile(&self, definition: &Definition, schema: &Value) -> Result<Arc<Validator>, ApiError> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (definition.name.clone(), definition.version);
        if let Some(validator) = compiled.get(&key) {
            return Ok(validator.clone());
        }
        let validator = jsonschema::validator_for(schema).map_err(|error| {
            let Definition { name, version, .. } = definition;
            ApiError::Internal(format!("input_schema of {name} version {version}: {error}"))
        })?;
        Ok(compiled.entry(key).or_insert(Arc::new(validator)).clone())
    }
}

/// The body of an HTTP trigger as the input of a saga, with the key it runs for: the field `key_name`, which is made
/// where the caller left it out, so that the steps find it in any case.
pub(crate) fn keyed(body: JsonBody, key_name: &str) -> Result<(String, Value, Payload), ApiError> {
    let JsonBody { bytes, value } = body;
    let Value::Object(mut fields) = value else {
        return Err(ApiError::Invalid(vec![Misfit::new("", "the body must be a JSON object")]));
    };
    match fields.entry(key_name) {
        Entry::Occupied(field) => {
            let pointer = format!("/{}", key_name.replace('~', "~0").replace('/', "~1"));
            let key = field.get().as_str().map(str::to_owned);
            let key =
                key.ok_or_else(|| misfit(&pointer, "must be text, as the business key is"))?;
            check_key(&key, &pointer)?;
            Ok((key, Value::Object(fields), Payload::json(bytes)))
        }
        Entry::Vacant(field) => {
            let key = Uuid::now_v7().to_string();
            field.insert(Value::String(key.clone()));
            let input = Value::Object(fields);
            let payload = Payload::json(input.to_string());
            Ok((key, input, payload))
        }
    }
}

/// Refuses a business key of no or too many characters.
pub(crate) fn check_key(key: &str, pointer: &str) -> Result<(), ApiError> {
    match key.chars().count() {
        1..=KEY_LENGTH => Ok(()),
        0 => Err(misfit(pointer, "must not be empty: leave it out to have a key made")),
        length => Err(misfit(
            pointer,
            &format!("must have at most {KEY_LENGTH} characters, and has {length}"),
        )),
    }
}

fn misfit(pointer: &str, detail: &str) -> ApiError {
    ApiError::Invalid(vec![Misfit::new(pointer, detail)])
}
