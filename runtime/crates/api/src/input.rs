//! Whether an input fits its definition, and what it runs for.

use serde_json::{Value, map::Entry};
use uuid::Uuid;
use wasaga_domain::{definition::Definition, input_schema, payload::Payload};

use crate::{
    body::JsonBody,
    error::{ApiError, Misfit},
};

/// How many characters a business key has at most.
const KEY_LENGTH: usize = 500;

/// Refuses an input, which stands at `pointer` of the body, that does not fit the definition's schema.
pub(crate) fn check_input(
    definition: &Definition,
    input: &Value,
    pointer: &str,
) -> Result<(), ApiError> {
    let misfits = definition.misfits(input).map_err(ApiError::Internal)?;
    if misfits.is_empty() {
        return Ok(());
    }
    let at = |misfit: &input_schema::Misfit| {
        Misfit::new(format!("{pointer}{}", misfit.pointer), misfit.detail.clone())
    };
    Err(ApiError::Invalid(misfits.iter().map(at).collect()))
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
